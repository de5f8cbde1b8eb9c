"""Carry out one load test: look at the endpoint, predict, send the requests, and sum up."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from cluster.cli.load_target import LoadTarget
from cluster.cli.load_view import REDRAWN_S, LoadView
from cluster.cli.session_view import say
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentStatus
from cluster.errors import BadInput, ClusterviewError, DeployFailed
from cluster.load.endpoint import Endpoint, RequestFailed, find_endpoint, largest_id, new_http_session, send
from cluster.load.figures import spread_of
from cluster.load.mix import LoadMix
from cluster.load.prompts import FIRST_ID, draw_prompts
from cluster.load.result import LoadPrediction, LoadResult
from cluster.load.run import LoadRun

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure."""

    mix: LoadMix
    target: LoadTarget
    model: str | None
    """Served model; None: the first."""
    api_key: str | None
    percents: Sequence[float] = ()


async def measure(order: Order) -> LoadResult:
    """Return what was measured, also of a test that Ctrl-C ended.

    Raises Unreachable or BadInput for an endpoint that cannot be tested, DeployFailed for one that does not
    answer the first request of the mix.
    """
    headers = {"authorization": f"Bearer {order.api_key}"} if order.api_key else {}
    async with new_http_session(headers) as http:
        endpoint = await find_endpoint(http, order.target.base_url, order.model)
        _check_lengths(order.mix, endpoint)
        predicted, why_not = await asyncio.to_thread(_predicted, order)
        last_id = await largest_id(http, endpoint)
        say(f"{order.target.name}: {order.mix.text}; one request first, which is not counted")
        await _warm_up(http, order.mix, endpoint, last_id)
        run, began_at_s = LoadRun(order.mix, endpoint, last_id), time.time()
        interrupted = await _run(run, http, f"{order.target.name}: {order.mix.text}")
    found = _summary(order, run, began_at_s)
    prompts = f"random token ids {FIRST_ID} to {last_id}"
    update = {
        "predicted": predicted,
        "not_predicted": why_not,
        "interrupted": interrupted,
        "prompts": prompts,
    }
    return found.model_copy(update=update)


def _check_lengths(mix: LoadMix, endpoint: Endpoint) -> None:
    if endpoint.max_model_len is not None and mix.longest_tokens > endpoint.max_model_len:
        raise BadInput(
            f"requests of up to {mix.longest_tokens:,} tokens exceed the endpoint's context of "
            f"{endpoint.max_model_len:,}",
            "Use a smaller --random-input-len or --random-output-len",
        )


async def _warm_up(http: aiohttp.ClientSession, mix: LoadMix, endpoint: Endpoint, last_id: int) -> None:
    """Send one request of the mix, with a prompt that is not part of it: the first may compile kernels."""
    other = mix.model_copy(update={"num_prompts": 1, "seed": mix.seed + 1})
    (prompt,) = draw_prompts(other, last_id)
    try:
        await send(http, endpoint, prompt, ignore_eos=mix.ignore_eos)
    except RequestFailed as failed:
        raise DeployFailed(f"{endpoint.base_url} does not answer a request of this mix: {failed}") from None


async def _run(run: LoadRun, http: aiohttp.ClientSession, title: str) -> bool:
    """Run the test with its progress on screen; returns whether it was interrupted."""
    task, loop = asyncio.create_task(run.run(http)), asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    try:
        with LoadView(title) as view:
            while not task.done():
                view.show(run.now())
                await asyncio.wait({task}, timeout=REDRAWN_S)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()
    finally:
        task.cancel()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _predicted(order: Order) -> tuple[LoadPrediction | None, str]:
    """Return the prediction for the mix, or why there is none."""
    from cluster.catalog.models import load_model
    from cluster.load.predict import Served, from_plan, predict

    status, cluster, spec = order.target.status, order.target.cluster, order.target.spec
    if status is None or cluster is None:
        return None, "only a deployment of clusterview has a plan; this is a URL"
    try:
        if status.layout is None:
            return from_plan(status), "its controller does not state the layout"
        launch = spec.server.launch if spec is not None and spec.server is not None else None
        model = load_model(_model_name(status, spec), None, launch.quantization if launch else None)
        found = predict(Served(status, cluster, model, launch), order.mix)
        return found or from_plan(status), "its layout does not fit its GPUs with these lengths"
    except ClusterviewError as error:
        return from_plan(status), error.one_line()


def _model_name(status: DeploymentStatus, spec: DeploymentSpec | None) -> str:
    """Return what names the model's config: its folder on this machine where there is one."""
    path = spec.model.path if spec is not None else None
    return path if path is not None and Path(path).is_dir() else status.model


def _summary(order: Order, run: LoadRun, began_at_s: float) -> LoadResult:
    answered, status, took_s = run.answered, order.target.status, max(run.duration_s, 1e-9)
    output_tokens = sum(answer.output_tokens for answer in answered)
    per_token = [answer.tpot_s for answer in answered if answer.tpot_s is not None]
    return LoadResult(
        name=order.target.name,
        cluster=order.target.title,
        model=status.model if status is not None else run.endpoint.model,
        label=status.label if status is not None else "",
        layout=status.layout if status is not None else None,
        engine=status.engine if status is not None else None,
        simulated=status.simulated if status is not None else False,
        endpoint=run.endpoint.base_url,
        began_at_s=began_at_s,
        duration_s=run.duration_s,
        mix=order.mix,
        requests_done=len(answered),
        requests_failed=run.failures.total(),
        requests_cut_off=run.cut_off,
        failures=dict(run.failures),
        input_tokens=sum(answer.input_tokens for answer in answered),
        output_tokens=output_tokens,
        output_tokens_per_s=output_tokens / took_s,
        requests_per_s=len(answered) / took_s,
        mean_in_flight=math.fsum(answer.e2e_s for answer in answered) / took_s,
        peak_in_flight=run.peak_in_flight,
        ttft_s=spread_of([answer.ttft_s for answer in answered], order.percents),
        tpot_s=spread_of(per_token, order.percents),
        itl_s=spread_of([gap for answer in answered for gap in answer.gaps_s], order.percents),
        e2e_s=spread_of([answer.e2e_s for answer in answered], order.percents),
    )

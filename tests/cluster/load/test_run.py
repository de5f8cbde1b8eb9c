"""A run against an endpoint whose answers take known times, and one that fails in every way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cluster.errors import BadInput, Unreachable
from cluster.load.endpoint import Endpoint, find_endpoint, largest_id, new_http_session
from cluster.load.mix import LoadMix
from cluster.load.run import LoadRun
from tests.cluster.load.paced_server import PacedServer, serving

MIX = LoadMix(num_prompts=12, max_concurrency=4, random_input_len=9, random_output_len=6)


async def run_on(server: PacedServer, mix: LoadMix = MIX) -> LoadRun:
    async with serving(server) as url, new_http_session({}) as http:
        run = LoadRun(mix, Endpoint(url, "paced"), 126)
        await run.run(http)
        return run


async def test_what_is_measured_is_what_the_endpoint_took() -> None:
    run = await run_on(PacedServer(ttft_s=0.1, tpot_s=0.02))
    assert len(run.answered) == 12 and not run.failures and run.peak_in_flight == 4
    for answer in run.answered:
        assert answer.ttft_s >= 0.1 and answer.e2e_s >= 0.2
        assert (answer.input_tokens, answer.output_tokens, len(answer.gaps_s)) == (9, 6, 5)
        assert answer.tpot_s == pytest.approx(sum(answer.gaps_s) / 5)
    now = run.now()
    assert (now.done, now.in_flight, now.sent) == (12, 0, 12)
    assert now.ttft_s == pytest.approx(sum(answer.ttft_s for answer in run.answered) / 12)


async def test_tokens_are_counted_by_the_endpoint_and_not_by_chunks() -> None:
    run = await run_on(PacedServer(ttft_s=0.0, tpot_s=0.0, per_chunk=5))
    assert {(answer.output_tokens, len(answer.gaps_s)) for answer in run.answered} == {(6, 1)}
    run = await run_on(PacedServer(ttft_s=0.0, tpot_s=0.0, per_chunk=5, counts_usage=False))
    assert {(answer.input_tokens, answer.output_tokens) for answer in run.answered} == {(9, 2)}


async def test_the_body_is_that_of_the_mix() -> None:
    server = PacedServer(ttft_s=0.0, tpot_s=0.0)
    await run_on(server, MIX.model_copy(update={"num_prompts": 1, "ignore_eos": True}))
    (body,) = server.seen
    assert body["max_tokens"] == 6 and len(body["prompt"]) == 9 and body["ignore_eos"] is True
    assert body["stream"] is True and body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("server", "reason", "failed"),
    [
        (PacedServer(ttft_s=0.0, tpot_s=0.0, fails_every=3), "HTTP 503: busy", 4),
        (PacedServer(ttft_s=0.0, tpot_s=0.0, breaks_off=True), "the stream ended before [DONE]", 12),
        (PacedServer(ttft_s=0.0, tpot_s=0.0, garbage=True), "the answer is not a stream of events", 12),
    ],
)
async def test_failures_are_counted_by_reason(server: PacedServer, reason: str, failed: int) -> None:
    run = await run_on(server)
    assert dict(run.failures) == {reason: failed} and len(run.answered) == 12 - failed


async def test_no_connection_is_a_reason() -> None:
    async with serving(PacedServer()) as url:
        pass
    async with new_http_session({}) as http:
        run = LoadRun(MIX, Endpoint(url, "paced"), 126)
        await run.run(http)
    assert run.failures.total() == 12 and all("refused" in reason for reason in run.failures)


async def test_a_cancelled_run_keeps_what_was_answered() -> None:
    mix = MIX.model_copy(update={"num_prompts": 1000})
    async with serving(PacedServer(ttft_s=0.01, tpot_s=0.01)) as url, new_http_session({}) as http:
        run = LoadRun(mix, Endpoint(url, "paced"), 126)
        task = asyncio.create_task(run.run(http))
        while not run.answered:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert run.answered and 0 < run.cut_off <= 4 and run.in_flight == 0
    assert run.sent == len(run.answered) + run.cut_off


async def test_open_loop_sends_on_time_however_slow_the_answers_are() -> None:
    mix = LoadMix(num_prompts=10, request_rate=50, random_input_len=3, random_output_len=1)
    run = await run_on(PacedServer(ttft_s=1.0), mix)
    assert run.peak_in_flight >= 8  # sending takes 0.2 s, answering a second


async def test_the_vocabulary_is_what_the_endpoint_accepts() -> None:
    async with serving(PacedServer(ttft_s=0.0)) as url, new_http_session({}) as http:
        assert await largest_id(http, Endpoint(url, "paced")) == 126
    async with serving(PacedServer(garbage=True)) as url, new_http_session({}) as http:
        with pytest.raises(Unreachable, match="not a stream of events"):
            await largest_id(http, Endpoint(url, "paced"))


@pytest.mark.parametrize(
    ("headers", "model", "says"),
    [({}, None, "asks for an API key"), ({"authorization": "Bearer k"}, "other", "does not serve other")],
)
async def test_an_endpoint_that_cannot_be_tested(
    headers: dict[str, Any], model: str | None, says: str
) -> None:
    async with serving(PacedServer(key="k")) as url, new_http_session(headers) as http:
        with pytest.raises(BadInput, match=says):
            await find_endpoint(http, url, model)


async def test_the_endpoints_model_and_context() -> None:
    async with serving(PacedServer()) as url, new_http_session({}) as http:
        found = await find_endpoint(http, url, None)
        assert (found.model, found.max_model_len) == ("paced", 4096)
        with pytest.raises(Unreachable, match="404"):
            await find_endpoint(http, f"{url}/elsewhere", None)

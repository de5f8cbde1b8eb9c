"""The actor of one rank: it owns one GPU and runs the engine on it.

It is made before it is known which rank it will be, because only a process that Ray has put on a GPU can tell
which GPU that is. Its life then goes step by step in a thread of its own, and `report` says where it is.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

from cluster.deploy.assigned_gpus import assigned_gpu_indices
from cluster.deploy.network import interface_of
from cluster.deploy.permanent import describe_with_node, is_permanent
from cluster.deploy.rank_report import EngineFigures, RankReport, RankStep
from cluster.deploy.served_meter import ServedMeter
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.errors import DeployFailed

GROUP_TIMEOUT_S = 60.0
CONCURRENCY = 8

Token = tuple[str, int | None, bool, str | None, str | None]
"""(request id, token id, finished, finish reason, error)."""

_EVENTS_WAIT_S = 1.0
_PROMPT_TOKEN = 1


class RankActor:
    """One rank of one replica. All methods return at once, except `tokens` and `prove`."""

    def __init__(self) -> None:
        import ray

        context = ray.get_runtime_context()
        self._gpu_indices = assigned_gpu_indices()
        self._address = ray.util.get_node_ip_address()
        self._node_id = context.get_node_id()
        self._step, self._since_s = RankStep.STARTING, time.monotonic()
        self._reason, self._permanent = "", False
        self._progress: float | None = None
        self._lock = threading.Lock()
        self._may_go_on = {step: threading.Event() for step in (RankStep.STARTED, RankStep.LOADED)}
        self._meeting = ""
        self._engine: Any = None
        self._handles: dict[str, Any] = {}
        self._tokens: queue.SimpleQueue[Token] = queue.SimpleQueue()
        self._listeners = 0
        self._served = ServedMeter()

    def where(self) -> tuple[str, list[int]]:
        """Return the node and the GPU indices that Ray gave this process."""
        return self._node_id, self._gpu_indices

    def become(self, spec: DeploymentSpec, places: tuple[RankPlace, ...]) -> None:
        """Start as the rank at the only one of `places`."""
        (place,) = places
        threading.Thread(target=self._live, args=(spec, place), name="rank", daemon=True).start()

    def open_meeting(self) -> str:
        """On the leader, once started: open the rendezvous of the group and return its address."""
        from cluster.runtime.rendezvous import find_free_port

        host, port = find_free_port(self._address)
        return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"

    def meet(self, meeting: str) -> None:
        """Join the group at `meeting`, then load."""
        self._meeting = meeting
        self._may_go_on[RankStep.STARTED].set()

    def warm_up(self) -> None:
        """Continue: every rank of the group has loaded."""
        self._may_go_on[RankStep.LOADED].set()

    def report(self) -> RankReport:
        """Return this rank's state and measurements."""
        with self._lock:
            return RankReport(
                step=self._step,
                age_s=time.monotonic() - self._since_s,
                reason=self._reason,
                progress=self._progress,
                permanent=self._permanent,
                figures=self._figures(),
            )

    def prove(self, deadline_s: float) -> int:
        """On the leader: send a prompt of one token through all ranks and return the answer's token."""
        handle = self._submit([_PROMPT_TOKEN], 1, 0.0, 1.0, None)
        until_s = time.monotonic() + deadline_s
        try:
            while (left_s := until_s - time.monotonic()) > 0:
                event = handle.next_event(left_s)
                if event.error:
                    raise DeployFailed(event.error)
                if event.token_id is not None:
                    return int(event.token_id)
        except TimeoutError:
            pass
        handle.cancel()
        raise DeployFailed(f"no token came through all ranks within {deadline_s:.0f} s")

    def submit(
        self,
        request_id: str,
        prompt_ids: list[int],
        max_tokens: int,
        temperature: float,
        top_p: float,
        seed: int | None,
    ) -> None:
        """On the leader: queue a request; its tokens come out of `tokens`."""
        handle = self._submit(prompt_ids, max_tokens, temperature, top_p, seed)
        self._served.count_request()
        self._handles[request_id] = handle
        threading.Thread(target=self._forward, args=(request_id, handle), daemon=True).start()

    def cancel(self, request_id: str) -> None:
        """On the leader: cancel a request that nobody waits for."""
        handle = self._handles.get(request_id)
        if handle is not None:
            handle.cancel()

    def tokens(self) -> Iterator[list[Token]]:
        """On the leader: yield all requests' tokens as they come. A later call takes over."""
        self._listeners += 1
        listener = self._listeners
        while listener == self._listeners:
            try:
                batch = [self._tokens.get(timeout=_EVENTS_WAIT_S)]
            except queue.Empty:
                continue
            while not self._tokens.empty():
                batch.append(self._tokens.get())
            yield batch

    def stop(self) -> None:
        """End the group in order; every rank's process may then be ended."""
        if self._engine is not None:
            self._engine.stop()

    def _submit(
        self, prompt_ids: list[int], max_tokens: int, temperature: float, top_p: float, seed: int | None
    ) -> Any:
        from cluster.runtime.generation import GenerationRequest, SamplingParams

        sampling = SamplingParams(temperature=temperature, top_p=top_p, seed=seed)
        return self._engine.submit(GenerationRequest(tuple(prompt_ids), max_tokens, sampling))

    def _forward(self, request_id: str, handle: Any) -> None:
        for event in handle:
            if event.token_id is not None:
                self._served.count_token()
            self._tokens.put((request_id, event.token_id, event.finished, event.finish_reason, event.error))
        self._handles.pop(request_id, None)

    def _figures(self) -> EngineFigures:
        if self._engine is None:
            return EngineFigures()
        stats = self._engine.stats()
        return EngineFigures(
            requests_total=self._served.requests_total,
            in_flight=stats.in_flight,
            output_tokens_total=self._served.output_tokens_total,
            tokens_per_s=self._served.tokens_per_s(),
            all_reduces_per_token=stats.all_reduces_per_token,
            all_reduce_share=stats.all_reduce_share,
            memory_used_bytes=stats.memory_used_bytes or None,
        )

    def _live(self, spec: DeploymentSpec, place: RankPlace) -> None:
        try:
            self._prepare(spec, place)
            self._go_to(RankStep.STARTED, "waiting for the other ranks")
            self._may_go_on[RankStep.STARTED].wait()
            self._go_to(RankStep.JOINING, f"joining the group at {self._meeting}")
            self._engine.join(self._meeting, GROUP_TIMEOUT_S)
            self._go_to(RankStep.LOADING, progress=0.0)
            self._engine.load(self._note_progress)
            self._go_to(RankStep.LOADED, "waiting for the other ranks", progress=1.0)
            self._may_go_on[RankStep.LOADED].wait()
            self._go_to(RankStep.WARMING_UP)
            self._engine.warm_up()
            self._go_to(RankStep.RUNNING)
            self._engine.run()
            self._go_to(RankStep.STOPPED)
        except BaseException as error:
            self._permanent = is_permanent(error)
            self._go_to(RankStep.FAILED, describe_with_node(error, place.node_name))

    def _prepare(self, spec: DeploymentSpec, place: RankPlace) -> None:
        name = interface_of(self._address)
        if name is not None:
            os.environ.update(GLOO_SOCKET_IFNAME=name, NCCL_SOCKET_IFNAME=name)
        if spec.device == "cpu":
            # Ray named a GPU that is only simulated.
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        import torch

        from cluster.runtime.rank_worker import RankWorker

        if spec.device == "cpu":
            torch.set_num_threads(1)
        else:
            _check_device(torch, place)
        self._engine = RankWorker(
            spec.model.model_dump(),
            tp=spec.layout.tp,
            pp=spec.layout.pp,
            tp_rank=place.rank,
            stage=place.stage,
            device=spec.device,
            dtype=spec.dtype,
            max_model_len=spec.max_model_len,
            max_num_seqs=spec.max_num_seqs,
            layers=place.layers,
        )

    def _note_progress(self, fraction: float) -> None:
        self._progress = min(1.0, max(0.0, fraction))

    def _go_to(self, step: RankStep, reason: str = "", progress: float | None = None) -> None:
        with self._lock:
            self._step, self._since_s = step, time.monotonic()
            self._reason, self._progress = reason, progress


def _check_device(torch: Any, place: RankPlace) -> None:
    """Raise if torch runs on another GPU than planned, which would go unnoticed until memory ran out."""
    uuid = str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))
    if uuid and uuid.lower() not in place.gpu_uuid.lower():
        raise DeployFailed(f"torch sees GPU {uuid}, but the plan assigned {place.gpu_uuid}")

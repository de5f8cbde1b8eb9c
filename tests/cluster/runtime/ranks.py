"""A pool of real rank processes, started once and reused: each job forms a new group from some of them."""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Literal

from cluster.runtime.generation import GenerationRequest

# A hanging rank fails its test long before pytest's own timeout.
ANSWER_TIMEOUT_S = 90.0


@dataclass(frozen=True)
class Job:
    """One run of a group: load, compute the logits of a prompt, serve requests concurrently, stop."""

    source: dict[str, Any]
    tp: int
    pp: int = 1
    logits_prompt: tuple[int, ...] = ()
    requests: tuple[GenerationRequest, ...] = ()
    failing_rank: int | None = None
    """World rank that raises an error in its first step."""
    fails_at: Literal["warm-up", "run"] = "run"
    max_model_len: int = 120
    max_num_seqs: int = 4
    group_timeout_s: float = 60.0
    stage_layers: tuple[tuple[int, int], ...] = ()
    idle_s: float = 0.0
    """How long the leader idles before the requests are sent."""
    dtype: str = "float32"


@dataclass
class RankResult:
    """What one rank reports back."""

    memory_used_bytes: int = 0
    bytes_read: int = 0
    progress: list[float] = field(default_factory=list)
    logits: Any = None
    tokens: list[list[int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    stats: Any = None
    error: str = ""


class RankPool:
    """Processes that act as ranks, forked from a server that has imported torch but not used it."""

    def __init__(self, size: int) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["torch", "tests.cluster.runtime.ranks", "cluster.runtime.loading"])
        self._pipes: list[Connection] = []
        self._processes = []
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def __enter__(self) -> RankPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(timeout=5)
            process.kill()

    def run(self, job: Job) -> list[RankResult]:
        """Run a job on tp x pp processes; return the results in world-rank order."""
        pipes = self._pipes[: job.tp * job.pp]
        pipes[0].send("open")
        where = pipes[0].recv()
        for rank, pipe in enumerate(pipes):
            pipe.send((job, rank, where))
        return [_answer(pipe) for pipe in pipes]


def _answer(pipe: Connection) -> RankResult:
    if not pipe.poll(ANSWER_TIMEOUT_S):
        raise TimeoutError("a rank did not answer")
    result: RankResult = pipe.recv()
    return result


def _serve(pipe: Connection) -> None:
    import torch

    from cluster.runtime.rendezvous import find_free_port

    torch.set_num_threads(1)
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        if message == "open":
            host, port = find_free_port()
            pipe.send(f"tcp://{host}:{port}")
            continue
        pipe.send(_run_job(*message))


def _run_job(job: Job, rank: int, where: str) -> RankResult:
    result = RankResult()
    try:
        _play(job, rank, where, result)
    except Exception as error:
        result.error = f"{type(error).__name__}: {error}"
    return result


def _play(job: Job, rank: int, where: str, result: RankResult) -> None:
    from cluster.runtime.rank_worker import RankWorker

    engine = RankWorker(
        job.source,
        tp=job.tp,
        pp=job.pp,
        tp_rank=rank % job.tp,
        stage=rank // job.tp,
        device="cpu",
        dtype=job.dtype,
        max_model_len=job.max_model_len,
        max_num_seqs=job.max_num_seqs,
        layers=job.stage_layers[rank // job.tp] if job.stage_layers else None,
    )
    engine.join(where, job.group_timeout_s)
    engine.load(result.progress.append)
    result.memory_used_bytes = engine.stats().memory_used_bytes
    result.bytes_read = engine.bytes_read
    if job.logits_prompt:
        logits = engine.prompt_logits(job.logits_prompt)
        result.logits = None if logits is None else logits.numpy()
    if job.failing_rank == rank and job.fails_at == "warm-up":
        engine._rank.execute = _fail
    engine.warm_up()
    if job.failing_rank == rank:
        engine._rank.execute = _fail
    if engine.is_leader:
        _lead(engine, job, result)
    else:
        engine.run()


def _lead(engine: Any, job: Job, result: RankResult) -> None:
    handles = [] if job.idle_s else [engine.submit(request) for request in job.requests]
    collector = threading.Thread(target=_collect, args=(engine, job, handles, result))
    collector.start()
    try:
        engine.run()
    finally:
        collector.join(timeout=ANSWER_TIMEOUT_S)


def _collect(engine: Any, job: Job, handles: list[Any], result: RankResult) -> None:
    time.sleep(job.idle_s)
    handles = handles or [engine.submit(request) for request in job.requests]
    for handle in handles:
        events = list(handle)
        result.tokens.append([event.token_id for event in events if event.token_id is not None])
        result.failures += [event.error for event in events if event.error]
    result.stats = engine.stats()
    engine.stop()


def _fail(plan: object) -> list[int]:
    raise RuntimeError("this rank was told to fail")

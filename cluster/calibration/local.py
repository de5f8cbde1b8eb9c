"""Calibrate the GPUs of this machine without Ray: one process per GPU, ended with this one."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from cluster.calibration.groups import free_spots
from cluster.calibration.measure import Call, WorkerFailed, measure
from cluster.calibration.rank import CalibrationRank
from cluster.calibration.result import Calibration, Spot
from cluster.errors import BadInput, SystemFailed
from cluster.inventory import Cluster

_START_S = 90.0
_END_S = 3.0
_PARENT_LOOK_S = 1.0


def calibrate_here(
    cluster: Cluster, title: str, progress: Callable[[str], None] = lambda message: None
) -> Calibration:
    """Measure the free GPUs of a cluster of one node, this machine. Nothing is left running.

    Raises BadInput where no GPU is free, SystemFailed where torch is missing or sees no GPU.
    """
    spots, skipped = free_spots(cluster)
    if not spots:
        raise BadInput(f"no free GPU on {title}", "; ".join(skipped[:4]))
    with LocalWorkers(spots, "cuda") as workers:
        workers.prepare()
        return measure(workers, spots, on_gpu=True, title=title, skipped=skipped, progress=progress)


class LocalWorkers:
    """Processes with a CalibrationRank each. Use them in a `with` block."""

    def __init__(self, spots: Sequence[Spot], device: str) -> None:
        self._spots, self._device = spots, device
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []

    def __enter__(self) -> LocalWorkers:
        # Forked, a child would share CUDA state that cannot be shared.
        context = multiprocessing.get_context("spawn")
        for spot in self._spots:
            ours, theirs = context.Pipe()
            visible = spot.gpu_uuid if self._device == "cuda" else ""
            process = context.Process(target=_serve, args=(theirs, self._device, visible), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        until_s = time.monotonic() + _END_S
        for process in self._processes:
            process.join(max(0.0, until_s - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def prepare(self) -> None:
        """Wait until each process has torch and its GPU; SystemFailed says what is missing."""
        problems = self.ask(dict.fromkeys(range(len(self._spots)), ("prepare", ())), _START_S)
        for number, problem in problems.items():
            if problem:
                spot = self._spots[number]
                raise SystemFailed(f"GPU {spot.gpu_index} cannot be calibrated: {problem}")

    def ask(self, calls: Mapping[int, Call], deadline_s: float) -> dict[int, Any]:
        """As in Workers."""
        for number, call in calls.items():
            try:
                self._pipes[number].send(call)
            except OSError:
                raise WorkerFailed(self._ended(number)) from None
        until_s = time.monotonic() + deadline_s
        return {number: self._answer(number, until_s, deadline_s) for number in calls}

    def _answer(self, number: int, until_s: float, deadline_s: float) -> Any:
        try:
            if not self._pipes[number].poll(max(0.0, until_s - time.monotonic())):
                self._processes[number].kill()
                raise WorkerFailed(f"{self._named(number)} did not answer within {deadline_s:.0f} s")
            error, answer = self._pipes[number].recv()
        except (EOFError, OSError):
            raise WorkerFailed(self._ended(number)) from None
        if error:
            raise WorkerFailed(f"{self._named(number)}: {error}")
        return answer

    def _named(self, number: int) -> str:
        return f"GPU {self._spots[number].gpu_index}"

    def _ended(self, number: int) -> str:
        return f"the process on {self._named(number)} ended"


def _serve(pipe: Connection, device: str, visible: str) -> None:
    """Serve one parent until its pipe ends. Nothing imports torch before the GPU is chosen."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    os.environ["CUDA_VISIBLE_DEVICES"] = visible
    rank = CalibrationRank(device)
    while True:
        try:
            name, arguments = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            os._exit(0)
        try:
            answer = ("", getattr(rank, name)(*arguments))
        except Exception as error:
            answer = (first_line(error), None)
        pipe.send(answer)


def _end_with(parent: int) -> None:
    """A rank that waits inside a collective never reads its pipe: look after the parent as well."""
    while os.getppid() == parent:
        time.sleep(_PARENT_LOOK_S)
    os._exit(0)


def first_line(error: BaseException) -> str:
    """Return an error as one line: torch's messages have many."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]

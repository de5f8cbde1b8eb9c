"""Main of the probe process: reads the machine in a loop and prints JSON lines until its parent is gone.

NVML can hang in the kernel and can crash its process, so it is never called anywhere else.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster.detail import NodeDetail
from cluster.inventory import Node
from cluster.probe.amd import AmdReader
from cluster.probe.lines import ProbeLine, ProbeOrder
from cluster.probe.machine import MachineReader
from cluster.probe.node import NodeReader
from cluster.probe.place import mark_bytes
from cluster.probe.query import Mark
from cluster.telemetry import NodeReading

_PR_SET_PDEATHSIG = 1
_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 30.0
_DETAILS_PAUSE = 4.0
"""Times the duration of a round of slow figures that pass before the next one."""

Say = Callable[[ProbeLine], None]


def main() -> None:
    """Obey the order in the first argument; exit 0 when the parent closes stdin or dies."""
    order = ProbeOrder.model_validate_json(sys.argv[1])
    _die_with_parent(order.parent_pid)
    say = _line_writer()
    mark = _marker(order.mark_fd)
    reader = _reader(order, mark)
    try:
        (_once if order.once else _loop)(order, reader, say, mark)
    finally:
        # An error of ours must not be blamed on the call before it.
        mark(None, "")


def _reader(order: ProbeOrder, mark: Mark) -> MachineReader:
    node_id, name, root = order.node_id, order.name, Path(order.root)

    def amd() -> AmdReader:
        return AmdReader(node_id, name, mark=mark, skipped=order.skipped, root=root)

    nvidia = NodeReader(
        node_id, name, mark=mark, skipped=order.skipped, left_out=order.left_out, visible=order.visible
    )
    return MachineReader(node_id, nvidia, amd, mark, left_out=order.left_out, root=root)


def _once(order: ProbeOrder, reader: MachineReader, say: Say, mark: Mark) -> None:
    say(ProbeLine(node=reader.read_inventory()))
    say(ProbeLine(reading=reader.read_now()))
    say(ProbeLine(detail=reader.read_detail()))


def _loop(order: ProbeOrder, reader: MachineReader, say: Say, mark: Mark) -> None:
    inventory, details = _Inventories(order.inventory_interval_s), _Details(order.detail_interval_s, reader)
    while True:
        started_s = time.monotonic()
        if started_s >= inventory.due_s:
            node = reader.read_inventory()
            say(ProbeLine(node=node))
            inventory.took(started_s, failed=node.error is not None)
        reading = reader.read_now()
        say(ProbeLine(reading=reading))
        inventory.compare(node, reading, started_s)
        detail = details.read_until(started_s + order.interval_s)
        if detail is not None:
            say(ProbeLine(detail=detail))
        mark(None, "")
        time.sleep(max(0.0, order.interval_s - (time.monotonic() - started_s)))


class _Details:
    """Reads slow figures in the time that sweeps leave, at least one GPU after each sweep.

    A round takes at most a fifth of the time: where a GPU takes seconds, rounds are further apart.
    """

    def __init__(self, interval_s: float, reader: MachineReader) -> None:
        self._interval_s, self._reader = interval_s, reader
        self._steps: Iterator[NodeDetail | None] | None = None
        self._began_s = self._spent_s = self._due_s = 0.0

    def read_until(self, until_s: float) -> NodeDetail | None:
        """Read on until then; return the details when they are complete."""
        now_s = time.monotonic()
        if self._steps is None:
            if now_s < self._due_s:
                return None
            self._steps, self._began_s, self._spent_s = self._reader.detail_steps(), now_s, 0.0
        for detail in self._steps:
            if detail is not None:
                break
            if time.monotonic() >= until_s:
                self._spent_s += time.monotonic() - now_s
                return None
        else:
            detail = None
        ended_s = time.monotonic()
        self._spent_s += ended_s - now_s
        self._steps = None
        self._due_s = max(self._began_s + self._interval_s, ended_s + _DETAILS_PAUSE * self._spent_s)
        return detail


class _Inventories:
    """When the next is due: soon after a failure, as the driver may be back at once, then ever less often."""

    def __init__(self, interval_s: float) -> None:
        self.due_s = self._last_s = 0.0
        self._interval_s, self._retry_s, self._failed = interval_s, _FIRST_RETRY_S, False

    def took(self, now_s: float, *, failed: bool) -> None:
        """Record an inventory."""
        self._retry_s = (
            min(2 * self._retry_s, _LONGEST_RETRY_S) if self._failed and failed else _FIRST_RETRY_S
        )
        self._failed = failed
        self._last_s = now_s
        self.due_s = now_s + (self._retry_s if failed else self._interval_s)

    def compare(self, node: Node, reading: NodeReading, now_s: float) -> None:
        """Hasten the next one where a reading shows that the driver, or a GPU, was lost or came back."""
        if reading.state == "lost" and not self._failed:
            self.due_s = min(self.due_s, now_s + _FIRST_RETRY_S)
        known = {gpu.uuid: gpu.healthy for gpu in node.gpus}
        if any(gpu.error is not None and known.get(gpu.uuid) for gpu in reading.gpus):
            self.due_s = min(self.due_s, max(now_s, self._last_s + _FIRST_RETRY_S))


def _marker(mark_fd: int) -> Mark:
    def mark(gpu_index: int | None, function: str) -> None:
        os.pwrite(mark_fd, mark_bytes(gpu_index, function, time.monotonic()), 0)

    return mark


def _line_writer() -> Say:
    # A driver library that prints must not garble the lines.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: ProbeLine) -> None:
        lines.write(line.model_dump_json(exclude_defaults=True) + "\n")
        lines.flush()

    return say


def _die_with_parent(parent_pid: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(0)
    threading.Thread(target=_exit_when_stdin_ends, daemon=True).start()


def _exit_when_stdin_ends() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()

"""Main of the probe process: reads NVML in a loop and prints JSON lines until its parent is gone.

NVML can hang in the kernel and can crash its process, so it is never called anywhere else.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from cluster.probe.lines import ProbeLine, ProbeOrder
from cluster.probe.node import NodeReader
from cluster.probe.query import Mark

_PR_SET_PDEATHSIG = 1
_MARK_LENGTH = 96
_FIRST_RETRY_S = 2.0


def main() -> None:
    """Obey the order in the first argument; exit 0 when the parent closes stdin or dies."""
    order = ProbeOrder.model_validate_json(sys.argv[1])
    _die_with_parent(order.parent_pid)
    say = _line_writer()
    mark = _marker(order.mark_fd)
    reader = NodeReader(order.node_id, order.name, mark=mark, skipped=order.skipped)
    if order.once:
        say(ProbeLine(node=reader.read_inventory()))
        say(ProbeLine(reading=reader.read_now()))
        return
    _loop(order, reader, say, mark)


def _loop(order: ProbeOrder, reader: NodeReader, say: Callable[[ProbeLine], None], mark: Mark) -> None:
    inventory_due_s, retry_s = 0.0, _FIRST_RETRY_S
    while True:
        started_s = time.monotonic()
        if started_s >= inventory_due_s:
            node = reader.read_inventory()
            say(ProbeLine(node=node))
            # A driver that is away may come back at once or never.
            pause_s = order.inventory_interval_s if node.error is None else min(retry_s, 30.0)
            retry_s = _FIRST_RETRY_S if node.error is None else 2 * retry_s
            inventory_due_s = started_s + pause_s
        say(ProbeLine(reading=reader.read_now()))
        mark(None, "")
        time.sleep(max(0.0, order.interval_s - (time.monotonic() - started_s)))


def _marker(mark_fd: int) -> Mark:
    calls = itertools.count(1)

    def mark(gpu_index: int | None, function: str) -> None:
        text = f"{next(calls)} {'' if gpu_index is None else gpu_index} {function}"
        os.pwrite(mark_fd, text.encode()[:_MARK_LENGTH].ljust(_MARK_LENGTH), 0)

    return mark


def _line_writer() -> Callable[[ProbeLine], None]:
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

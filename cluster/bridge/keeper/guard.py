"""A worker process and its guard: if either is killed, everything they started is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from cluster.process_table import adopt_orphans, end_with_parent

_STOPPED_FOR_S = 1.0
_MOST_STOPS = 3
_STOPS_WITHIN_S = 60.0


def start_guarded(work: Callable[[], int]) -> int:
    """Run `work` in a process of its own and return its pid; this process becomes its guard.

    If the worker is killed, the guard adopts and ends its children. If the guard is killed, the worker gets
    SIGTERM. Forks, so call it before any thread starts.
    """
    guard = os.getpid()
    # Orphans come to the nearest ancestor that adopts: nothing can leave this tree.
    adopt_orphans()
    worker = os.fork()
    if worker == 0:
        end_with_parent(guard, signal.SIGTERM)
        adopt_orphans()
        _exit_with(work)
    return worker


def _exit_with(work: Callable[[], int]) -> None:
    """Run the work and exit without unwinding the stack that was forked from the guard."""
    status = 1
    try:
        status = work()
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
    finally:
        sys.stderr.flush()
        os._exit(status)


def await_guarded(worker: int) -> int:
    """Wait until the worker has ended, passing SIGTERM on to it; return its status or minus its signal.

    Meanwhile orphans that came to this process are reaped, and a worker that a signal stopped is continued.
    """

    def pass_on(signal_number: int, frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal_number)

    signal.signal(signal.SIGTERM, pass_on)
    status = _wait_for(worker)
    # Only cleanup follows, which no signal may interrupt.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return os.waitstatus_to_exitcode(status)


def _wait_for(worker: int) -> int:
    """Return the wait status of the worker's end; one that is stopped again and again is killed."""
    stops_s: list[float] = []
    while True:
        pid, status = os.waitpid(-1, os.WUNTRACED)
        if pid != worker:
            continue
        if not os.WIFSTOPPED(status):
            return status
        now_s = time.monotonic()
        stops_s = [*(stop_s for stop_s in stops_s if now_s - stop_s < _STOPS_WITHIN_S), now_s]
        time.sleep(_STOPPED_FOR_S)
        os.kill(worker, signal.SIGCONT if len(stops_s) < _MOST_STOPS else signal.SIGKILL)

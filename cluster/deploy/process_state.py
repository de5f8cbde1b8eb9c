"""One process of this machine in /proc: running, stopped or gone; continue it, or kill it."""

from __future__ import annotations

import os
import signal
import time
from enum import StrEnum
from pathlib import Path

_CONTINUED_WITHIN_S = 1.0
_ENDED_WITHIN_S = 3.0
_LOOK_S = 0.02


class ProcessState(StrEnum):
    """The state of a process that does not answer."""

    RUNS = "runs"
    STOPPED = "stopped"  # by a signal or a debugger: it does nothing until it is continued
    CONTINUED = "continued"  # was stopped, and runs again because we continued it
    GONE = "gone"
    UNKNOWN = "unknown"  # no /proc here


def state_of(pid: int, title: str = "") -> ProcessState:
    """Return the state of a process; a process whose command line does not start with `title` is GONE.

    The title guards against a pid that meanwhile belongs to another process.
    """
    if not Path("/proc/self/stat").exists():
        return ProcessState.UNKNOWN
    entry = Path(f"/proc/{pid}")
    try:
        if title and not (entry / "cmdline").read_bytes().startswith(title.encode()):
            return ProcessState.GONE
        # The command in parentheses may itself hold spaces and parentheses.
        letter = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ProcessState.GONE
    if letter in "ZX":
        return ProcessState.GONE
    return ProcessState.STOPPED if letter in "Tt" else ProcessState.RUNS


def examine(pid: int, title: str, *, may_continue: bool) -> ProcessState:
    """Return the state of a process; a stopped one is continued first, if `may_continue`."""
    state = state_of(pid, title)
    if state is not ProcessState.STOPPED or not may_continue or not _signal(pid, signal.SIGCONT):
        return state
    return _await_change(pid, title)


def _await_change(pid: int, title: str) -> ProcessState:
    until_s = time.monotonic() + _CONTINUED_WITHIN_S
    while (state := state_of(pid, title)) is ProcessState.STOPPED and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
    return ProcessState.CONTINUED if state is ProcessState.RUNS else state


def end_process(pid: int, title: str) -> bool:
    """Kill a process, which works on a stopped one too; True when it is gone."""
    until_s = time.monotonic() + _ENDED_WITHIN_S
    while state_of(pid, title) not in (ProcessState.GONE, ProcessState.UNKNOWN):
        if not _signal(pid, signal.SIGKILL) or time.monotonic() > until_s:
            break
        time.sleep(_LOOK_S)
    return state_of(pid, title) is ProcessState.GONE


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True

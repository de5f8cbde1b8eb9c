"""Processes in /proc: find descendants, and end processes reliably."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TERM_GRACE_S = 1.0
_KILL_GRACE_S = 3.0
# A process in an uninterruptible call of a driver outlives even SIGKILL.
_GIVE_UP_S = 30.0


def end_with_parent(parent_pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to signal this process when the thread that started it ends; exit if it already has."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent_pid:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that none escapes."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def descendants(root_pid: int) -> list[int]:
    """Return the living processes below `root_pid`, parents first."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found, queue = [], [root_pid]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The command in parentheses may itself hold spaces and parentheses.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            parents[int(entry.name)] = int(fields[1])
    return parents


def reap_orphans(known: Collection[int]) -> None:
    """Reap children of this process that have ended and were started by others; leave the known ones alone.

    Whoever started a process waits for it: reaping that one here would take its exit status away.
    """
    for pid, parent in _parents().items():
        if parent == os.getpid() and pid not in known and _is_zombie(pid):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _is_zombie(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        return stat.rpartition(")")[2].split()[0] == "Z"
    return False


def end_descendants() -> None:
    """End every process below this one, also those that are started meanwhile. Adopt orphans before."""
    end_all(lambda: descendants(os.getpid()))


def end_all(find: Callable[[], list[int]]) -> None:
    """End the processes that `find` finds until it finds none: what is ended may just have started others."""
    until_s = time.monotonic() + _GIVE_UP_S
    while (pids := find()) and time.monotonic() < until_s:
        end_processes(pids)


def processes_with(variable: str, value: str) -> list[int]:
    """Return the living processes of this user that were started with this environment variable."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def processes_titled(title: str, folder: str) -> list[int]:
    """Return this user's processes whose command line starts so and that have a file of the folder open."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if (entry / "cmdline").read_bytes().startswith(title.encode()) and _has_open(entry, folder):
                found.append(int(entry.name))
    return found


def _has_open(entry: Path, folder: str) -> bool:
    for file in (entry / "fd").iterdir():
        with contextlib.suppress(OSError):
            if file.readlink().is_relative_to(folder):
                return True
    return False


def end_processes(pids: Iterable[int]) -> None:
    """End processes with SIGTERM, then SIGKILL; our own children are reaped."""
    left = _signal_all(pids, signal.SIGTERM)
    left = _wait_gone(left, _TERM_GRACE_S)
    left = _signal_all(left, signal.SIGKILL)
    _wait_gone(left, _KILL_GRACE_S)


def _signal_all(pids: Iterable[int], number: signal.Signals) -> list[int]:
    reached = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            reached.append(pid)
    return reached


def _wait_gone(pids: list[int], timeout_s: float) -> list[int]:
    until_s = time.monotonic() + timeout_s
    while (pids := [pid for pid in pids if _is_running(pid)]) and time.monotonic() < until_s:
        time.sleep(0.02)
    return pids


def _is_running(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    return process_exists(pid)


def process_exists(pid: int) -> bool:
    """Whether a process exists, ours or another user's; nothing is reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

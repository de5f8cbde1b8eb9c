"""The agent's side of a guarded server: start it, read its output, notice its end, end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from cluster.deploy.server import guard
from cluster.process_table import adopt_orphans, descendants, end_all, processes_with

MARK = "CLUSTERVIEW_SERVER"
"""Variable in the environment of a guard and its server that names whose they are."""
PATIENCE_S = 10.0
"""Seconds that a server gets to end by itself."""
_GUARD_ENDS_S = 8.0
_READ_BYTES = 1 << 16
_LOOK_S = 0.1


class GuardedServer:
    """One server process, its guard and all their descendants."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        on_output: Callable[[bytes], None],
        spared: Callable[[], Collection[int]] = tuple,
    ) -> None:
        """`spared` returns children of this process that are no part of the server."""
        adopt_orphans()
        self._spared = spared
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(PATIENCE_S), *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            # Python's -m looks for modules in the current directory first.
            cwd="/",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(on_output,), name="output", daemon=True)
        self._reader.start()

    @property
    def guard_pid(self) -> int:
        return self._guard.pid

    def pids(self) -> list[int]:
        """Return the server's processes."""
        return descendants(self._guard.pid)

    def how_it_ended(self) -> str | None:
        """Return in words how the server ended; None while it runs."""
        status = self._guard.poll()
        if status is None:
            return None
        self._reader.join(1.0)
        return describe_end(status)

    @property
    def could_not_start(self) -> bool:
        """Whether there was nothing to run: a missing file, or one that may not be run."""
        return self._guard.poll() == guard.CANNOT_START

    def end(self) -> None:
        """End the server, orderly if it obeys, and return when nothing of it is left."""
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):
            self._guard.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._guard.send_signal(signal.SIGCONT)
        try:
            self._guard.wait(PATIENCE_S + _GUARD_ENDS_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait(_GUARD_ENDS_S)
        self.end_orphans()

    def end_orphans(self) -> None:
        """End what the guard left, which happens only if it was killed: this process adopted it."""
        end_all(lambda: [pid for pid in descendants(os.getpid()) if pid not in self._spared()])

    def _read(self, on_output: Callable[[bytes], None]) -> None:
        assert self._guard.stdout is not None
        fd = self._guard.stdout.fileno()
        with contextlib.suppress(OSError):
            while chunk := os.read(fd, _READ_BYTES):
                on_output(chunk)


def describe_end(status: int) -> str:
    """Return a guard's exit status in words."""
    if status < 0:
        return f"its guard was ended by {_signal_name(-status)}"
    if status > 128 and (name := _signal_name(status - 128)):
        hint = " (by the kernel, if the machine ran out of memory: see dmesg)" if name == "SIGKILL" else ""
        return f"its server was ended by {name}{hint}"
    return f"its server ended with exit status {status}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def end_earlier(mark: str, is_called_off: Callable[[], bool]) -> bool:
    """Wait for the end of an earlier server with this mark, then end it by force; True if there was one.

    Its guard ends it, but that may take its patience; until then it holds the GPUs' memory.
    """
    if not processes_with(MARK, mark):
        return False
    until_s = time.monotonic() + PATIENCE_S + _GUARD_ENDS_S
    while processes_with(MARK, mark) and time.monotonic() < until_s and not is_called_off():
        time.sleep(_LOOK_S)
    end_all(lambda: _with_descendants(processes_with(MARK, mark)))
    return True


def _with_descendants(pids: list[int]) -> list[int]:
    return list(dict.fromkeys([*pids, *(below for pid in pids for below in descendants(pid))]))

"""The agent's side of a guarded server: start it, read its output, notice its end, end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from cluster.deploy.server import guard
from cluster.process_table import descendants, end_all, processes_with

MARK = "CLUSTERVIEW_SERVER"
"""Variable in the environment of the guards and the server that names whose they are."""
PATIENCE_S = 10.0
"""Seconds that a server gets to end by itself."""
_GUARDS_END_S = 8.0
"""Seconds that the guards get beyond that."""
_READ_BYTES = 1 << 16
_LOOK_S = 0.1


class GuardedServer:
    """One server process, its guards and all their descendants."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], on_output: Callable[[bytes], None]
    ) -> None:
        """Start it; `env` must hold MARK with a value that no other running server has."""
        self._mark = env[MARK]
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
        """The outer guard."""
        return self._guard.pid

    def pids(self) -> list[int]:
        """Return the inner guard and the server's processes."""
        return descendants(self._guard.pid)

    def exit_status(self) -> int | None:
        """Return the guards' exit status, see `describe_end`; None while the server runs."""
        if self._guard.poll() is not None:
            # What the server wrote last is often on its way still.
            self._reader.join(1.0)
        return self._guard.returncode

    def end(self) -> None:
        """End the server, in order if it obeys, and return when nothing of it is left."""
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):
            self._guard.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._guard.send_signal(signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(PATIENCE_S + _GUARDS_END_S)
        # Only if the outer guard was killed, or does not end, is anything left.
        end_earlier(self._mark, lambda: self._guard.poll() is None)
        self._guard.wait()

    def _read(self, on_output: Callable[[bytes], None]) -> None:
        assert self._guard.stdout is not None
        fd = self._guard.stdout.fileno()
        with contextlib.suppress(OSError):
            while chunk := os.read(fd, _READ_BYTES):
                on_output(chunk)


def describe_end(status: int) -> str:
    """Return what a guard's exit status says of its server."""
    if status < 0:
        return f"its guard was ended by {_signal_name(-status)}"
    if was_signalled(status):
        name = _signal_name(status - 128)
        hint = " (by the kernel, if the machine ran out of memory: see dmesg)" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    return f"ended with exit status {status}"


def was_signalled(status: int) -> bool:
    """Whether a signal ended the server or its guard, so that its last line says nothing about the cause."""
    return status < 0 or (status > 128 and bool(_signal_name(status - 128)))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def end_earlier(mark: str, is_called_off: Callable[[], bool]) -> bool:
    """Wait for the end of an earlier server with this mark, then end it by force; True if there was one.

    Its guards end it, but that may take its patience; until then it holds the GPUs' memory.
    """
    if not processes_with(MARK, mark):
        return False
    until_s = time.monotonic() + PATIENCE_S + _GUARDS_END_S
    while processes_with(MARK, mark) and time.monotonic() < until_s and not is_called_off():
        time.sleep(_LOOK_S)
    end_all(lambda: _with_descendants(processes_with(MARK, mark)))
    return True


def _with_descendants(pids: list[int]) -> list[int]:
    return list(dict.fromkeys([*pids, *(below for pid in pids for below in descendants(pid))]))

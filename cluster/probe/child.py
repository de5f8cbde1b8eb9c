"""A probe process from its parent's side: its lines with a deadline, where it is stuck, how it ended."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cluster.probe.lines import ProbeLine, ProbeOrder
from cluster.probe.nvml import OPENING

_MARK_LENGTH = 96
_READ_BYTES = 1 << 16
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Place:
    """The NVML call a probe was last in; both None between calls."""

    gpu_index: int | None = None
    function: str | None = None
    calls: int = 0
    """Calls begun so far; as long as it grows, nothing hangs."""

    def describe(self) -> str:
        """Name the call and its GPU."""
        if self.function is None:
            return "the probe"
        if self.function == OPENING:
            return f"{OPENING} (slow without nvidia-persistenced)"
        return self.function if self.gpu_index is None else f"{self.function} on GPU {self.gpu_index}"


class ProbeChild:
    """One probe process. No call waits longer than its timeout, not even for the process to end."""

    def __init__(self, order: ProbeOrder, env: Mapping[str, str] | None = None) -> None:
        self._mark = _file_in_memory("clusterview-mark")
        self._stderr = _file_in_memory("clusterview-probe")
        fd = self._mark.fileno()
        order = order.model_copy(update={"mark_fd": fd, "parent_pid": os.getpid()})
        self._process = subprocess.Popen(
            # -P: a folder named 'cluster' in the current directory must not be imported.
            [sys.executable, "-P", "-m", "cluster.probe.process", order.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            pass_fds=(fd,),
            env=_with_package_path(os.environ if env is None else env),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._stdout_fd = self._process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout_fd, selectors.EVENT_READ)
        self._unfinished = b""
        self.ended = False

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists; a killed one may, as long as the kernel does not let it go."""
        return self._process.poll() is None

    def lines(self, timeout_s: float) -> list[ProbeLine]:
        """Return the lines that arrive within the timeout, possibly none; sets `ended` at end of file."""
        if self.ended or not self._selector.select(timeout_s):
            return []
        chunk = os.read(self._stdout_fd, _READ_BYTES)
        self.ended = not chunk
        *whole, self._unfinished = (self._unfinished + chunk).split(b"\n")
        return [ProbeLine.model_validate_json(line) for line in whole]

    def place(self) -> Place:
        """Return which NVML call the process is in, or was in when it died."""
        mark = os.pread(self._mark.fileno(), _MARK_LENGTH, 0).decode().rstrip("\0 ")
        calls, index, function = [*mark.split(" "), "", "", ""][:3]
        return Place(int(index) if index else None, function or None, int(calls or 0))

    def how_it_ended(self, timeout_s: float = 1.0) -> str:
        """Describe why the process is gone; its lines must have ended."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return "the probe closed its output"
        if status < 0:
            return f"the probe crashed in {self.place().describe()} ({signal.Signals(-status).name})"
        last_line = self._last_stderr_line()
        return f"the probe ended with status {status}" + (f": {last_line}" if last_line else "")

    def _last_stderr_line(self) -> str:
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """Kill the process without waiting: one that is stuck in the kernel may never end."""
        if self.alive:
            self._process.kill()

    def close(self) -> None:
        """End the process and close its pipes; only `alive` may be used after that."""
        self.end()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._mark.close()
        self._stderr.close()


def _file_in_memory(name: str) -> BinaryIO:
    """Return a file that a full disk or a read-only /tmp cannot refuse."""
    return os.fdopen(os.memfd_create(name), "w+b")


def _with_package_path(env: Mapping[str, str]) -> dict[str, str]:
    # A shipped copy of this package is on our path, but on no child's.
    paths = [str(_PACKAGE_ROOT), *filter(None, [env.get("PYTHONPATH")])]
    return {**env, "PYTHONPATH": os.pathsep.join(paths)}

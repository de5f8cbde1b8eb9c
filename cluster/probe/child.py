"""A probe process from its parent's side: its lines with a deadline, where it is stuck, how it ended."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from cluster.probe.lines import ProbeLine, ProbeOrder
from cluster.probe.place import MARK_LENGTH, Place, place_from

_READ_BYTES = 1 << 16
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that somebody sent: a user, the kernel that ran out of memory."""
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a process is gone."""

    reason: str
    in_call: bool
    """Whether the NVML call that it was in ended it."""


class ProbeChild:
    """One probe process. No call waits longer than its timeout, not even for the process to end."""

    def __init__(self, order: ProbeOrder, env: Mapping[str, str] | None = None) -> None:
        self._mark = _file_in_memory("clusterview-mark")
        self._stderr = _file_in_memory("clusterview-probe")
        self._began_s = time.monotonic()
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
        place = place_from(os.pread(self._mark.fileno(), MARK_LENGTH, 0))
        return place if place.began_s is not None else replace(place, began_s=self._began_s)

    def how_it_ended(self, timeout_s: float = 1.0) -> Ending:
        """Describe why the process is gone; its lines must have ended."""
        place = self.place()
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return Ending("the probe closed its output", in_call=False)
        if -status in _FROM_OUTSIDE:
            return Ending(f"the probe was killed ({signal.Signals(-status).name})", in_call=False)
        what = f"crashed ({signal.Signals(-status).name})" if status < 0 else f"ended with status {status}"
        if place.function is not None:
            return Ending(f"the probe {what} in {place.describe()}", in_call=True)
        last_line = self._last_stderr_line()
        return Ending(f"the probe {what}" + (f": {last_line}" if last_line else ""), in_call=False)

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

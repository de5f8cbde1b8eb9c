"""What this machine knows of a process that NVML names by its pid: program, command line, user."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster.inventory import GpuProcess
from cluster.probe.command_line import MOST_BYTES, command_line, program_name
from cluster.probe.users import UserNames

_FIRST_PID_NAMESPACE = "pid:[4026531836]"
# A process may run another program under the same pid.
_KEPT_S = 15.0
_MOST_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Known:
    """Fields are None where this machine cannot know them."""

    name: str | None = None
    command: str | None = None
    user: str | None = None
    other_namespace: bool = False


_UNKNOWN = Known()
_ELSEWHERE = Known(other_namespace=True)


class ProcessNames:
    """Looks processes up in /proc and keeps what it found for some seconds.

    NVML reports the host's pids: inside a container the same number is someone else, unless that process
    is seen holding a GPU device open.
    """

    def __init__(self, proc: Path = Path("/proc"), *, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc, self._clock = proc, clock
        self._users = UserNames()
        self._kept: dict[tuple[int, int], tuple[float, Known]] = {}
        self._on_host: bool | None = None

    def process(self, pid: int, memory_bytes: int | None, sm_percent: float | None = None) -> GpuProcess:
        """Return the process on a GPU with all that is known of it."""
        known = self.of(pid)
        return GpuProcess(
            pid=pid,
            name=known.name,
            memory_bytes=memory_bytes,
            user=known.user,
            command=known.command,
            sm_percent=sm_percent,
            other_namespace=known.other_namespace,
        )

    def of(self, pid: int) -> Known:
        """Describe the process with this pid of the host."""
        on_host = self._is_host()
        if on_host is None:
            return _UNKNOWN
        folder = self._proc / str(pid)
        try:
            # A pid that was given to another process has another inode.
            status = folder.stat()
        except OSError:
            return _UNKNOWN if on_host else _ELSEWHERE
        now_s, key = self._clock(), (pid, status.st_ino)
        until_s, known = self._kept.get(key, (now_s, _UNKNOWN))
        if until_s <= now_s:
            known = self._describe(folder, status.st_uid, on_host)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (now_s + _KEPT_S, known)
        return known

    def _is_host(self) -> bool | None:
        if self._on_host is None:
            try:
                namespace = (self._proc / "self/ns/pid").readlink().name
            except OSError:
                return None
            self._on_host = namespace == _FIRST_PID_NAMESPACE
        return self._on_host

    def _describe(self, folder: Path, uid: int, on_host: bool) -> Known:
        try:
            if not on_host and not _holds_gpu(folder):
                return _ELSEWHERE
            raw = _read_start(folder / "cmdline").rstrip(b"\0")
            raw = raw or (folder / "comm").read_bytes().strip()
        except OSError:
            return _UNKNOWN if on_host else _ELSEWHERE
        return Known(program_name(raw), command_line(raw), self._users.name(uid))


def _read_start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES)


def _holds_gpu(folder: Path) -> bool:
    with os.scandir(folder / "fd") as links:
        return any(str(Path(link.path).readlink()).startswith("/dev/nvidia") for link in links)

"""Which processes hold memory on a GPU, and their names where this machine can know them."""

from __future__ import annotations

from pathlib import Path

from cluster.inventory import MOST_MEMORY_BYTES, GpuProcess
from cluster.probe.memory import Memory
from cluster.probe.nvml import Device
from cluster.probe.query import Answer, NvmlQuery, is_placeholder

_LISTS = (
    ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"),
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"),
)
_MOST_PIDS = 2**22
_MOST_NAME_LENGTH = 128
_FIRST_PID_NAMESPACE = "pid:[4026531836]"

Processes = tuple[tuple[GpuProcess, ...], str | None]


def read_processes(query: NvmlQuery, device: Device, memory: Memory) -> Processes:
    """List compute and graphics processes, one entry a pid, largest first, or () with the reason."""
    bytes_by_pid: dict[int, int | None] = {}
    reasons = []
    for newer, older in _LISTS:
        answer = _first(query, device, newer, older)
        reasons.append(answer.reason)
        for process in answer.value or ():
            pid, size = int(process.pid), process.usedGpuMemory
            if not _plausible(pid, size, memory):
                # Some drivers lay the record out differently under the same version number.
                return (), "the driver's process list is garbled"
            known = None if size is None or is_placeholder(size) else int(size)
            bytes_by_pid[pid] = max(
                (s for s in (bytes_by_pid.get(pid), known) if s is not None), default=None
            )
    if all(reasons):
        return (), reasons[0]
    ordered = sorted(bytes_by_pid.items(), key=lambda item: (-(item[1] or 0), item[0]))
    return tuple(
        GpuProcess(pid=pid, name=process_name(pid), memory_bytes=size) for pid, size in ordered
    ), None


def _first(query: NvmlQuery, device: Device, newer: str, older: str) -> Answer:
    answer = query.ask(device.asked_index, newer, device.handle)
    return answer if answer.value is not None else query.ask(device.asked_index, older, device.handle)


def _plausible(pid: int, size: int | None, memory: Memory) -> bool:
    if not 0 < pid <= _MOST_PIDS:
        return False
    if size is None or is_placeholder(size):
        return True
    return 0 <= int(size) <= (memory.total_bytes or MOST_MEMORY_BYTES)


def process_name(pid: int, proc: Path = Path("/proc")) -> str | None:
    """Return the program's name, or None where NVML's pid may mean another process here.

    NVML reports the host's pids: inside a container the same number is someone else, unless that process
    is seen holding a GPU device open.
    """
    folder = proc / str(pid)
    try:
        if (proc / "self/ns/pid").readlink().name != _FIRST_PID_NAMESPACE and not _holds_gpu(folder):
            return None
        first_argument = (folder / "cmdline").read_bytes().split(b"\0", 1)[0]
        name = first_argument.decode("utf-8", "replace") or (folder / "comm").read_text(errors="replace")
    except OSError:
        return None
    # A title such as 'ray::Rank.step' is kept whole; of a path only the program counts, never arguments.
    name = name.strip().split(" ", 1)[0].rsplit("/", 1)[-1]
    return name[:_MOST_NAME_LENGTH] or None


def _holds_gpu(folder: Path) -> bool:
    return any(str(link.readlink()).startswith("/dev/nvidia") for link in (folder / "fd").iterdir())

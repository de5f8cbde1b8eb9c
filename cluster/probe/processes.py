"""Which processes hold memory on a GPU, who they are, and how much of the GPU each uses."""

from __future__ import annotations

import time

from cluster.inventory import MOST_MEMORY_BYTES, GpuProcess
from cluster.probe.memory import Memory
from cluster.probe.nvml import Device
from cluster.probe.process_names import ProcessNames
from cluster.probe.query import NO_RECORD, Answer, NvmlQuery, is_placeholder

_LISTS = (
    ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"),
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"),
)
_MOST_PIDS = 2**22
_USE_OF_LAST_S = 1.0

Processes = tuple[tuple[GpuProcess, ...], str | None]


class ProcessReader:
    """Lists the processes of GPUs; keeps the names of those it has seen."""

    def __init__(self, names: ProcessNames | None = None) -> None:
        self._names = names or ProcessNames()

    def read(self, query: NvmlQuery, device: Device, memory: Memory, *, with_use: bool) -> Processes:
        """List compute and graphics processes, one entry a pid, largest first, or () with the reason.

        `with_use` says whether to ask how much of the GPU each uses.
        """
        bytes_by_pid, reason = _listed(query, device, memory)
        if not bytes_by_pid:
            return (), reason
        uses = _sm_percents(query, device) if with_use else None
        ordered = sorted(bytes_by_pid.items(), key=lambda item: (-(item[1] or 0), item[0]))
        # The driver leaves out who did not run.
        shares = {} if uses is None else {pid: uses.get(pid, 0.0) for pid in bytes_by_pid}
        return tuple(self._names.process(pid, size, shares.get(pid)) for pid, size in ordered), reason


def _listed(query: NvmlQuery, device: Device, memory: Memory) -> tuple[dict[int, int | None], str | None]:
    """Return the bytes of each pid, None where the driver does not know them."""
    bytes_by_pid: dict[int, int | None] = {}
    reasons = []
    for newer, older in _LISTS:
        answer = _first(query, device, newer, older)
        reasons.append(answer.reason)
        for process in answer.value or ():
            pid, size = int(process.pid), process.usedGpuMemory
            if not _plausible(pid, size, memory):
                # Some drivers lay the record out differently under the same version number.
                return {}, "the driver's process list is garbled"
            known = None if size is None or is_placeholder(size) else int(size)
            bytes_by_pid[pid] = max(
                (s for s in (bytes_by_pid.get(pid), known) if s is not None), default=None
            )
    return bytes_by_pid, reasons[0] if all(reasons) else None


def _first(query: NvmlQuery, device: Device, newer: str, older: str) -> Answer:
    answer = query.ask(device.asked_index, newer, device.handle)
    return answer if answer.value is not None else query.ask(device.asked_index, older, device.handle)


def _plausible(pid: int, size: int | None, memory: Memory) -> bool:
    if not 0 < pid <= _MOST_PIDS:
        return False
    if size is None or is_placeholder(size):
        return True
    return 0 <= int(size) <= (memory.total_bytes or MOST_MEMORY_BYTES)


def _sm_percents(query: NvmlQuery, device: Device) -> dict[int, float] | None:
    """Return the latest use of each pid that ran in the last second; None where the driver does not say."""
    since_us = int((time.time() - _USE_OF_LAST_S) * 1e6)
    answer = query.ask(device.asked_index, "nvmlDeviceGetProcessUtilization", device.handle, since_us)
    if answer.value is None:
        return {} if answer.reason == NO_RECORD else None
    latest = sorted(answer.value, key=lambda sample: sample.timeStamp)
    return {int(sample.pid): float(min(sample.smUtil, 100)) for sample in latest}

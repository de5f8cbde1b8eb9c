"""How much memory a server's processes hold on each GPU, by NVML."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cluster.inventory import Gpu
from cluster.probe.local import has_nvml_library
from cluster.probe.watch import ProbeProcess

_EVERY_S = 5.0


class GpuMemory:
    """Reads NVML in a process of its own, which may hang or crash: what is not known is left out."""

    def __init__(self) -> None:
        self._probe = ProbeProcess("here", "here", interval_s=_EVERY_S, inventory_interval_s=_EVERY_S)
        self._is_started = has_nvml_library()
        if self._is_started:
            self._probe.start()

    def held_by(self, pids: Collection[int], uuids: Collection[str]) -> dict[str, int]:
        """Return GPU uuid -> bytes that these processes hold there, for GPUs where NVML says so."""
        if not self._is_started:
            return {}
        return memory_by_gpu(self._probe.latest()[0].gpus, pids, uuids)

    def close(self) -> None:
        """End the reading."""
        if self._is_started:
            self._probe.close()


def memory_by_gpu(gpus: Iterable[Gpu], pids: Collection[int], uuids: Collection[str]) -> dict[str, int]:
    """Return GPU uuid -> bytes held by `pids`; GPUs where that is not known are left out."""
    found: dict[str, int] = {}
    for gpu in gpus:
        sizes = [process.memory_bytes for process in gpu.processes if process.pid in pids]
        known = [size for size in sizes if size is not None]
        if gpu.uuid in uuids and known and len(known) == len(sizes):
            found[gpu.uuid] = sum(known)
    return found

"""Total, used and free memory of a GPU, from whichever call its driver supports."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from cluster.inventory import MOST_MEMORY_BYTES
from cluster.probe.nvml import Device
from cluster.probe.query import PLACEHOLDER, Answer, NvmlQuery, is_placeholder
from cluster.probe.unified import system_memory

UNIFIED = "unified with the machine's memory, of which neither NVML nor the kernel gives the size"
_NOT_SUPPORTED = "not supported by this GPU"


@dataclass(frozen=True, slots=True)
class Memory:
    """Sizes in bytes, None together with the reason where the driver gives none.

    Of unified memory, total and free are the machine's; used is None, as only its processes tell.
    """

    total_bytes: int | None = None
    used_bytes: int | None = None
    free_bytes: int | None = None
    reason: str | None = None
    unified: bool = False


def read_memory(query: NvmlQuery, device: Device) -> Memory:
    """Ask the newer call, whose 'used' leaves out what the driver reserves, then the older one."""
    index = device.asked_index
    version = getattr(query.module, "nvmlMemory_v2", None)
    answer = query.ask(index, "nvmlDeviceGetMemoryInfo", device.handle, version)
    if answer.value is None:
        answer = query.ask(index, "nvmlDeviceGetMemoryInfo", device.handle)
    return _unified() if device.mig_parent is None and _is_unified(answer) else _sizes(answer)


def _is_unified(answer: Answer) -> bool:
    """Whether a whole GPU has no memory of its own.

    Depending on its driver it answers everything but this, gives 0, or gives the machine's memory.
    """
    if answer.value is None:
        return answer.reason == _NOT_SUPPORTED
    return int(answer.value.total) in (0, _machine_total_bytes())


@cache
def _machine_total_bytes() -> int:
    memory = system_memory()
    return memory.total_bytes if memory else 0


def _unified() -> Memory:
    memory = system_memory()
    if memory is None:
        return Memory(reason=UNIFIED, unified=True)
    return Memory(memory.total_bytes, None, memory.available_bytes, unified=True)


def _sizes(answer: Answer) -> Memory:
    if answer.value is None:
        return Memory(reason=answer.reason)
    info = answer.value
    total, used, free = int(info.total), int(info.used), int(info.free)
    if total == 0:
        return Memory(reason="the driver reports no memory")
    if any(is_placeholder(size) for size in (total, used, free)):
        return Memory(reason=PLACEHOLDER)
    if total > MOST_MEMORY_BYTES or min(total, used, free) < 0:
        return Memory(reason="the driver reports an impossible size")
    if max(used, free) > total:
        return Memory(total_bytes=total, reason="used or free exceeds the total")
    return Memory(total, used, free)

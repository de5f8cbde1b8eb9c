"""GPUs without memory of their own: they use the machine's, which the kernel accounts for, not the driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.inventory import MOST_MEMORY_BYTES, GpuProcess

_MEMINFO = Path("/proc/meminfo")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class SystemMemory:
    """The machine's memory, in bytes."""

    total_bytes: int
    available_bytes: int
    """What programs can get without swapping: free memory, and caches that the kernel would drop."""


def system_memory(meminfo: Path = _MEMINFO) -> SystemMemory | None:
    """Return the machine's memory; None where the kernel does not report it plausibly."""
    try:
        lines = meminfo.read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    sizes = dict(line.split(":", 1) for line in lines if ":" in line)
    total, available = _bytes(sizes.get("MemTotal")), _bytes(sizes.get("MemAvailable"))
    if total is None or available is None or not 0 < total <= MOST_MEMORY_BYTES:
        return None
    return SystemMemory(total, min(available, total))


def held_by_processes(processes: Sequence[GpuProcess], reason: str | None) -> tuple[int | None, str | None]:
    """Return the bytes that GPU processes hold, or None and why: what the whole machine uses is much more."""
    if reason is not None:
        return None, f"its processes are not known: {reason}"
    sizes = [process.memory_bytes for process in processes]
    if None in sizes:
        return None, "the driver does not report the memory of its processes"
    return sum(size or 0 for size in sizes), None


def _bytes(text: str | None) -> int | None:
    number = (text or "").strip().removesuffix(" kB")
    return int(number) * _KIB if number.isascii() and number.isdigit() and len(number) < 16 else None

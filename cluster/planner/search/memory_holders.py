"""Which processes use memory on a GPU, and which to stop to free enough of it."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.inventory import Gpu, GpuProcess, Node
from cluster.planner.fixes.fix import FreeMemory, GpuToFree
from cluster.planner.fixes.text import describe_processes


def describe_holders(gpu: Gpu) -> str:
    """Return the processes that use its memory: 'pid 4711 (python, 18.2 GiB)'; '' if none is known."""
    return describe_processes(_by_size(gpu))


def memory_to_free(members: Sequence[tuple[Node, Gpu]], level_bytes: int) -> FreeMemory | None:
    """Return what to free so that each of these GPUs has `level_bytes` free; None where all have.

    Processes are named, the largest first, where what they hold is known and together enough.
    """
    gpus = tuple(
        GpuToFree(node.node_id, node.name, gpu.index, missing, _enough(gpu, missing))
        for node, gpu in members
        if (missing := _missing_bytes(gpu, level_bytes)) > 0
    )
    return FreeMemory(gpus) if gpus else None


def _enough(gpu: Gpu, missing_bytes: int) -> tuple[GpuProcess, ...]:
    """Return the largest processes that together use this much; () if unknown."""
    stopped: list[GpuProcess] = []
    for process in _by_size(gpu):
        stopped.append(process)
        if sum(one.memory_bytes or 0 for one in stopped) >= missing_bytes:
            return tuple(stopped)
    return ()


def _by_size(gpu: Gpu) -> list[GpuProcess]:
    return sorted(gpu.processes, key=lambda process: -(process.memory_bytes or 0))


def _missing_bytes(gpu: Gpu, level_bytes: int) -> int:
    return min(level_bytes, gpu.memory_total_bytes or level_bytes) - (gpu.memory_free_bytes or 0)

"""Who holds memory on a GPU, and whom to stop for how much of it."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.inventory import Gpu, GpuProcess, Node
from cluster.units import count_of, format_gib

_GPUS_TOLD = 4
_PROCESSES_TOLD = 3


def describe_holders(gpu: Gpu) -> str:
    """Say which processes hold memory there: 'pid 4711 (python, 18.2 GiB)'; '' when none is known."""
    return _describe_processes(_by_size(gpu))


def release(members: Sequence[tuple[Node, Gpu]], level_bytes: int) -> str:
    """Say what to stop or free so that each of these GPUs has `level_bytes` free; '' where all have.

    Processes are named, the largest first, where what they hold is known and together enough.
    """
    short = [(node, gpu) for node, gpu in members if _missing_bytes(gpu, level_bytes) > 0]
    stops, frees = [], []
    for node, gpu in short[:_GPUS_TOLD]:
        where = f" on {node.name} GPU {gpu.index}"
        enough = _enough(gpu, _missing_bytes(gpu, level_bytes))
        if enough:
            stops.append(f"{_describe_processes(enough)}{where if len(members) > 1 else ''}")
        else:
            frees.append(f"{format_gib(_missing_bytes(gpu, level_bytes))}{where}")
    ways = [f"stop {_listed(stops)}"] if stops else []
    ways += [f"free {_listed(frees)}"] if frees else []
    rest = short[_GPUS_TOLD:]
    ways += [f"make as much room on {count_of(len(rest), 'more GPU')}: {_places(rest)}"] if rest else []
    return "; ".join(ways)


def _enough(gpu: Gpu, missing_bytes: int) -> list[GpuProcess]:
    """The largest processes that hold this much together; none where that is not known."""
    stopped: list[GpuProcess] = []
    for process in _by_size(gpu):
        stopped.append(process)
        if sum(one.memory_bytes or 0 for one in stopped) >= missing_bytes:
            return stopped
    return []


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _places(members: Sequence[tuple[Node, Gpu]]) -> str:
    by_node: dict[str, list[int]] = {}
    for node, gpu in members:
        by_node.setdefault(node.name, []).append(gpu.index)
    return "; ".join(
        f"{name} GPU {', '.join(map(str, sorted(indexes)))}" for name, indexes in by_node.items()
    )


def _by_size(gpu: Gpu) -> list[GpuProcess]:
    return sorted(gpu.processes, key=lambda process: -(process.memory_bytes or 0))


def _describe_processes(processes: Sequence[GpuProcess]) -> str:
    told = []
    for process in processes[:_PROCESSES_TOLD]:
        about = [process.name] if process.name else []
        about += [format_gib(process.memory_bytes)] if process.memory_bytes else []
        told.append(f"pid {process.pid}" + (f" ({', '.join(about)})" if about else ""))
    rest = [str(process.pid) for process in processes[_PROCESSES_TOLD:]]
    return " and ".join(told) + (f" and {', '.join(rest)}" if rest else "")


def _missing_bytes(gpu: Gpu, level_bytes: int) -> int:
    return min(level_bytes, gpu.memory_total_bytes or level_bytes) - (gpu.memory_free_bytes or 0)

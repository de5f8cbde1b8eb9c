"""The only place where fixes become text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.inventory import GpuProcess
from cluster.planner.fixes.fix import (
    Fix,
    FreeMemory,
    GpuToFree,
    LargerCluster,
    MoreGpus,
    Options,
    OptionValue,
    OtherWeights,
)
from cluster.planner.layout import Layout
from cluster.planner.request import LONG_DTYPES
from cluster.units import count_of, format_gib

NO_FIX = "another model or other GPUs"
"""Shown when no change that was tried makes the layout run."""

_FLAGS = {"decode_context_parallel": "--decode-context-parallel-size"}
_GPUS_NAMED = 4
_PROCESSES_NAMED = 3


def describe_fixes(fixes: Sequence[Fix]) -> str:
    """Return alternatives in one line: 'TP=4, or TP=4 x PP=2, or --engine sglang'."""
    return ", or ".join(map(describe_fix, fixes)) or NO_FIX


def describe_fix(fix: Fix) -> str:
    """Return one fix: 'TP=4 x PP=2', '--max-model-len 4096', 'TP=2 fits with --max-model-len 4096'."""
    if fix.layout is None:
        return describe_change(fix)
    if fix.changes_only_degrees:
        return _degrees(fix.layout)
    label = f"{fix.layout.label} fits"
    match fix.hardware:
        case FreeMemory() as freed:
            things, last = _settings(fix), f" if you {_freed(freed)}"
        case LargerCluster() as larger:
            things, last = _settings(fix), f" on {_larger(larger)}"
        case _:
            things, last = describe_change(fix), ""
    return f"{label}{f' with {things}' if things else ''}{last}"


def describe_plan_fix(fix: Fix) -> str:
    """Return a fix of the plan as a whole: 'TP=4, DP=2 fits', 'TP=2 fits with --kv-cache-dtype fp8'."""
    if fix.layout is not None and fix.changes_only_degrees:
        return f"{fix.layout.label} fits"
    return describe_fix(fix)


def describe_change(fix: Fix) -> str:
    """Return everything but the layout: '--kv-cache-dtype fp8', '4 more L4', 'stop pid 7 on a GPU 0'."""
    match fix.hardware:
        case None:
            hardware = ""
        case FreeMemory() as freed:
            hardware = _freed(freed)
        case MoreGpus(num_gpus=count, gpu_type=kind):
            hardware = f"{count:,} more {kind}"
        case LargerCluster() as larger:
            hardware = _larger(larger)
    return " and ".join(filter(None, (_settings(fix), hardware)))


def describe_options(options: Options) -> str:
    """Return options as they are typed: '--kv-cache-dtype fp8 --enforce-eager'."""
    return " ".join(_flags(options))


def describe_processes(processes: Sequence[GpuProcess]) -> str:
    """Return processes with their memory: 'pid 4711 (python, 18.2 GiB)'; '' for none."""
    named = []
    for process in processes[:_PROCESSES_NAMED]:
        about = [process.name] if process.name else []
        about += [format_gib(process.memory_bytes)] if process.memory_bytes else []
        named.append(f"pid {process.pid}" + (f" ({', '.join(about)})" if about else ""))
    rest = [str(process.pid) for process in processes[_PROCESSES_NAMED:]]
    return " and ".join(named) + (f" and {', '.join(rest)}" if rest else "")


def _settings(fix: Fix) -> str:
    """Return the changed weights and options, without hardware."""
    weights = [_weights(fix.weights)] if fix.weights is not None else []
    return " and ".join((*weights, *_flags(fix.options)))


def _weights(weights: OtherWeights) -> str:
    sizes = f"{format_gib(weights.size_bytes)} instead of {format_gib(weights.instead_of_bytes)}"
    return f"{weights.variant.name} weights ({sizes})"


def _flags(options: Options) -> Iterator[str]:
    for name, value in options:
        flag = _FLAGS.get(name, f"--{name.replace('_', '-')}")
        if value is True:
            yield flag
        elif value is not None or name != "engine_version":  # another engine runs at its newest version
            yield f"{flag} {_value(name, value)}"


def _value(name: str, value: OptionValue) -> str:
    if name == "dtype":
        return LONG_DTYPES.get(str(value), str(value))
    if isinstance(value, float):
        return f"{value:g}"
    return "auto" if value is None else str(value)


def _degrees(layout: Layout) -> str:
    degrees = (("TP", layout.tp), ("PP", layout.pp), ("DP", layout.dp))
    named = " x ".join(f"{axis}={degree}" for axis, degree in degrees if degree > 1)
    experts = f"EP={layout.ep}" if layout.ep > 1 else ""
    return ", ".join(filter(None, (named, experts))) or "one GPU"


def _larger(cluster: LargerCluster) -> str:
    gpus = f"{cluster.gpus_per_node} x {cluster.gpu_type}"
    return f"{cluster.num_nodes} nodes of {gpus}" if cluster.num_nodes > 1 else f"one node of {gpus}"


def _freed(memory: FreeMemory) -> str:
    named, rest = memory.gpus[:_GPUS_NAMED], memory.gpus[_GPUS_NAMED:]
    stops = [f"{describe_processes(gpu.processes)} on {_where(gpu)}" for gpu in named if gpu.processes]
    frees = [_part_of(gpu) for gpu in named if not gpu.processes]
    parts = [f"stop {_listed(stops)}"] if stops else []
    parts += [f"free {_listed(frees)}"] if frees else []
    parts += [f"do the same on {count_of(len(rest), 'more GPU')}: {_places(rest)}"] if rest else []
    return ", and ".join(parts)


def _part_of(gpu: GpuToFree) -> str:
    if gpu.claimed_by is not None:
        return f"{_where(gpu)} (claimed by {gpu.claimed_by})"
    return f"{format_gib(gpu.missing_bytes)} on {_where(gpu)}"


def _where(gpu: GpuToFree) -> str:
    return f"{gpu.node_name} GPU {gpu.gpu_index}"


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _places(gpus: Sequence[GpuToFree]) -> str:
    by_node: dict[str, list[int]] = {}
    for gpu in gpus:
        by_node.setdefault(gpu.node_name, []).append(gpu.gpu_index)
    return "; ".join(
        f"{name} GPU {', '.join(map(str, sorted(indexes)))}" for name, indexes in by_node.items()
    )

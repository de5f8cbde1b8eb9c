"""Memory that others hold: which GPU is short, by how much, and who would have to make room."""

from __future__ import annotations

from dataclasses import replace

from cluster.inventory import Gpu, Node
from cluster.planner.result import Rejection
from cluster.planner.rules import gpu_busy_rejection
from cluster.planner.search.classes import ReplicaClass
from cluster.planner.search.context import Context
from cluster.planner.search.form import Form
from cluster.planner.search.judge import Judgement, judge
from cluster.units import format_gib

_HALVINGS = 14
_NOTABLE_SHARE = 0.01
MEMORY_RULES = ("weights_do_not_fit", "no_kv_memory", "max_len_exceeds_kv", "graphs_do_not_fit", "gpu_busy")


def busy_rejections(
    context: Context, form: Form, replicas: ReplicaClass, judgement: Judgement
) -> tuple[Rejection, ...]:
    """Say it of the GPU that is short when the layout would fit on these GPUs if nobody else used them."""
    refused = [rejection for rejection in judgement.rejections if rejection.rule in MEMORY_RULES]
    totals = [pool.total_bytes for pool in replicas.pools]
    if not refused or refused[0].rule == "gpu_busy":
        return judgement.rejections
    if all(free >= total for free, total in zip(replicas.frees, totals, strict=True)):
        return judgement.rejections
    if not judge(context, form, replicas.pools, totals).feasible:
        return judgement.rejections
    short = _missing_bytes(context, form, replicas)
    node, gpu = tightest_gpu(context, replicas)
    holders = describe_holders(gpu)
    message = (
        f"needs {format_gib(short)} more on {node.name} GPU {gpu.index}: "
        f"{format_gib(gpu.memory_free_bytes)} of {format_gib(gpu.memory_total_bytes)} are free"
    )
    return (
        Rejection("gpu_busy", message, f"stop {holders}" if holders else f"free {format_gib(short)} there"),
    )


def startup_rejections(
    context: Context, replicas: ReplicaClass, judgement: Judgement
) -> tuple[Rejection, ...]:
    """Return the refusal of an engine that wants its whole share free at its start, naming the GPU."""
    for index, (pool, free) in enumerate(zip(replicas.pools, replicas.frees, strict=True)):
        node, gpu = _gpu_of_chunk(context, replicas, index)
        where = f"{node.name} GPU {gpu.index}"
        rejection = gpu_busy_rejection(context.engine, judgement.request, pool.total_bytes, free, where)
        if rejection is not None:
            holders = describe_holders(gpu)
            return (replace(rejection, fix=f"stop {holders}" if holders else rejection.fix),)
    return ()


def tightest_gpu(context: Context, replicas: ReplicaClass) -> tuple[Node, Gpu]:
    """Return the GPU with the least free memory of the class's tightest replica, and its node."""
    frees = replicas.tightest.frees
    return _gpu_of_chunk(context, replicas, frees.index(min(frees)))


def describe_holders(gpu: Gpu) -> str:
    """Say which processes hold memory there: 'pid 4711 (python, 18.2 GiB)'; '' when none is known."""
    held = sorted(gpu.processes, key=lambda process: -(process.memory_bytes or 0))
    told = []
    for process in held[:2]:
        about = [process.name] if process.name else []
        about += [format_gib(process.memory_bytes)] if process.memory_bytes else []
        told.append(f"pid {process.pid}" + (f" ({', '.join(about)})" if about else ""))
    more = f" and {len(held) - 2} more" if len(held) > 2 else ""
    return " and ".join(told) + more


def partly_used_note(context: Context, replicas: ReplicaClass, judgement: Judgement) -> tuple[str, ...]:
    """Say which memory fraction the engine must be started with on partly used GPUs."""
    lowered = judgement.request.gpu_memory_utilization
    if lowered is None or context.request.gpu_memory_utilization is not None:
        return ()
    node, gpu = tightest_gpu(context, replicas)
    holders = describe_holders(gpu)
    held = f" ({holders})" if holders else ""
    return (
        f"start with --gpu-memory-utilization {lowered:g}: "
        f"{node.name} GPU {gpu.index} has {format_gib(gpu.memory_free_bytes)} free{held}",
    )


def _gpu_of_chunk(context: Context, replicas: ReplicaClass, chunk: int) -> tuple[Node, Gpu]:
    machine, spots = replicas.tightest.site(0, chunk)
    spot = min(spots, key=lambda spot: spot.free_bytes)
    node = context.cluster.nodes[machine.node_of(spot)]
    return node, node.gpus[machine.gpu_of(spot)]


def _missing_bytes(context: Context, form: Form, replicas: ReplicaClass) -> int:
    """Least free memory to add to every GPU (up to its total) so that the replica fits."""
    totals = [pool.total_bytes for pool in replicas.pools]
    low, high = 0, max(total - free for total, free in zip(totals, replicas.frees, strict=True))
    for _ in range(_HALVINGS):
        middle = (low + high) // 2
        frees = [min(total, free + middle) for total, free in zip(totals, replicas.frees, strict=True)]
        if judge(context, form, replicas.pools, frees).feasible:
            high = middle
        else:
            low = middle
    return high

"""Memory used by other processes: which GPU is short, by how much, and what to free."""

from __future__ import annotations

from dataclasses import replace

from cluster.inventory import Gpu, Node
from cluster.planner.fixes.fix import Fix
from cluster.planner.memory.budget import startup_free_bytes
from cluster.planner.placement.classes import ReplicaClass
from cluster.planner.placement.form import Form
from cluster.planner.replica import RankGpu
from cluster.planner.result import Rejection
from cluster.planner.rule import MEMORY_RULES, Rule
from cluster.planner.rules import gpu_busy_rejection
from cluster.planner.search.context import Context
from cluster.planner.search.fit import Fit, fit_replica
from cluster.planner.search.memory_holders import describe_holders, memory_to_free
from cluster.units import format_gib

_HALVINGS = 14


def busy_rejections(context: Context, form: Form, replicas: ReplicaClass, fit: Fit) -> tuple[Rejection, ...]:
    """Name the GPU that is short of memory if the layout would fit these GPUs without other users."""
    refused = [rejection for rejection in fit.rejections if rejection.rule in MEMORY_RULES]
    totals = [pool.total_bytes for pool in replicas.pools]
    if not refused or refused[0].rule == Rule.GPU_BUSY:
        return fit.rejections
    if all(free >= total for free, total in zip(replicas.frees, totals, strict=True)):
        return fit.rejections
    if not fit_replica(context, form, replicas, totals).feasible:
        return fit.rejections
    level = max(_level_bytes(context, form, replicas), _start_level_bytes(context, fit))
    node, gpu = tightest_gpu(context, replicas)
    short = level - (gpu.memory_free_bytes or 0)
    message = (
        f"needs {format_gib(short)} more on {node.name} GPU {gpu.index}: "
        f"{format_gib(gpu.memory_free_bytes)} of {format_gib(gpu.memory_total_bytes)} is free"
    )
    return (Rejection(Rule.GPU_BUSY, message, _freed(context, replicas, level)),)


def startup_rejections(context: Context, replicas: ReplicaClass, fit: Fit) -> tuple[Rejection, ...]:
    """Return the rejection by an engine that needs its whole fraction free at startup, naming the GPU."""
    if fit.memory is None:
        return ()
    launch = fit.memory.replica.launch
    for index, (pool, free) in enumerate(zip(replicas.pools, replicas.frees, strict=True)):
        node, gpu = _gpu_of_group(context, replicas, index)
        where, of_rank = f"{node.name} GPU {gpu.index}", RankGpu(pool.total_bytes, free, pool.spec)
        rejection = gpu_busy_rejection(context.engine, launch, of_rank, where)
        if rejection is not None:
            wanted = startup_free_bytes(context.engine, launch, of_rank)
            return (replace(rejection, fixes=_freed(context, replicas, wanted)),)
    return ()


def tightest_gpu(context: Context, replicas: ReplicaClass) -> tuple[Node, Gpu]:
    """Return the GPU with the least free memory of the class's tightest replica, and its node."""
    frees = replicas.tightest.frees
    return _gpu_of_group(context, replicas, frees.index(min(frees)))


def partly_used_note(context: Context, replicas: ReplicaClass, fit: Fit) -> tuple[str, ...]:
    """Return a note with the memory fraction to start the engine with on partly used GPUs."""
    launch = fit.memory.replica.launch if fit.memory else None
    asked = context.request.gpu_memory_utilization is not None
    if asked or launch is None or launch.utilization_is_default:
        return ()
    node, gpu = tightest_gpu(context, replicas)
    holders = describe_holders(gpu)
    held = f" ({holders})" if holders else ""
    return (
        f"start with --gpu-memory-utilization {launch.gpu_memory_utilization:g}: "
        f"{node.name} GPU {gpu.index} has {format_gib(gpu.memory_free_bytes)} free{held}",
    )


def _gpu_of_group(context: Context, replicas: ReplicaClass, group: int) -> tuple[Node, Gpu]:
    return min(_gpus_of_group(context, replicas, group), key=lambda member: member[1].memory_free_bytes or 0)


def _gpus_of_group(context: Context, replicas: ReplicaClass, group: int) -> list[tuple[Node, Gpu]]:
    """The GPUs of one TP group of the tightest replica, with their nodes."""
    machine, slots = replicas.tightest.site(0, group)
    nodes = [context.cluster.nodes[machine.node_of(slot)] for slot in slots]
    return [(node, node.gpus[machine.gpu_of(slot)]) for node, slot in zip(nodes, slots, strict=True)]


def _members(context: Context, replicas: ReplicaClass) -> list[tuple[Node, Gpu]]:
    return [one for group in range(len(replicas.frees)) for one in _gpus_of_group(context, replicas, group)]


def _freed(context: Context, replicas: ReplicaClass, level_bytes: int) -> tuple[Fix, ...]:
    """Return the fix that frees this much on every GPU of the tightest replica; () if nothing is missing."""
    memory = memory_to_free(_members(context, replicas), level_bytes)
    return () if memory is None else (Fix(hardware=memory),)


def _start_level_bytes(context: Context, fit: Fit) -> int:
    """Return what the engine needs free at startup; 0 for the default fraction, which can be lowered."""
    if context.request.gpu_memory_utilization is None or fit.memory is None:
        return 0
    replica = fit.memory.replica
    return max(startup_free_bytes(replica.engine, replica.launch, rank.gpu) for rank in replica.ranks)


def _level_bytes(context: Context, form: Form, replicas: ReplicaClass) -> int:
    """Return the least free memory that every GPU needs (up to its total) for the replica to fit."""
    totals = [pool.total_bytes for pool in replicas.pools]
    low, high = min(replicas.frees), max(totals)
    for _ in range(_HALVINGS):
        middle = (low + high) // 2
        frees = [min(total, max(free, middle)) for total, free in zip(totals, replicas.frees, strict=True)]
        if fit_replica(context, form, replicas, frees).feasible:
            high = middle
        else:
            low = middle
    return high

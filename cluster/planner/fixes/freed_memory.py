"""Memory used by others, and what would run on the GPUs if it were freed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.fixes.fix import Fix, FreeMemory, GpuToFree
from cluster.planner.fixes.larger_clusters import without_tenants
from cluster.planner.fixes.trial import PlanTrial
from cluster.planner.placement.survey import survey_cluster
from cluster.planner.result import Candidate
from cluster.planner.search.context import Context
from cluster.planner.search.memory_holders import memory_to_free
from cluster.planner.search.run import search


def free_memory(trial: PlanTrial) -> Iterator[Fix]:
    """Free the memory that the closest layout lacks; if no layout only lacks memory, claimed GPUs."""
    held = (one.hardware for candidate in trial.found.refused for one in candidate.rejections[0].fixes)
    memory = next((hardware for hardware in held if isinstance(hardware, FreeMemory)), None)
    memory = memory or _claimed_memory(trial.context)
    fix = trial.attempt(Fix(hardware=memory)) if memory is not None else None
    if fix is not None:
        yield fix


def _claimed_memory(context: Context) -> FreeMemory | None:
    """Return what one replica needs of the GPUs that other jobs claimed."""
    empty = without_tenants(context.cluster)
    if empty is None:
        return None
    free = replace(context, cluster=empty, survey=survey_cluster(empty))
    found = search(free if context.request.dp else free.with_request(dp=1))
    if not found.feasible:
        return None
    members = _members(context.cluster, found.feasible[0])
    claimed = tuple(_claim(node, gpu) for node, gpu in members if gpu.claimed_by is not None)
    if not claimed:
        return None
    budget = found.feasible[0].memory_per_gpu
    level = budget.budget_bytes if budget is not None else 0
    shared = memory_to_free([member for member in members if member[1].claimed_by is None], level)
    return FreeMemory(claimed + (shared.gpus if shared is not None else ()))


def _members(cluster: Cluster, best: Candidate) -> list[tuple[Node, Gpu]]:
    wanted = {(rank.node, rank.gpu_index) for rank in best.placement}
    return [(node, gpu) for node in cluster.nodes for gpu in node.gpus if (node.node_id, gpu.index) in wanted]


def _claim(node: Node, gpu: Gpu) -> GpuToFree:
    missing = (gpu.memory_total_bytes or 0) - (gpu.memory_free_bytes or 0)
    return GpuToFree(node.node_id, node.name, gpu.index, missing, claimed_by=gpu.claimed_by)

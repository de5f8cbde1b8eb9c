"""What may go wrong between the start of an engine and its first request, though all fits in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.budget import usable_total_bytes, utilization
from cluster.planner.placement.machines import Pool
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory, Rejection
from cluster.planner.rules import graphs_rejection, late_bytes, loading_rejection
from cluster.planner.search.context import Context

LEAST_UTILIZATION = 0.1
"""A smaller share of a GPU is not planned on unasked."""


def start_rejections(
    context: Context, layout: Layout, stage: StageRange, memory: RankMemory, pool: Pool, free_bytes: int
) -> Iterator[Rejection]:
    """Yield why a stage's ranks run out of memory while they load or capture their graphs."""
    engine = context.engine
    free = min(free_bytes, usable_total_bytes(pool.total_bytes))
    for found in (
        loading_rejection(context.model, layout, stage, engine, context.request, free),
        graphs_rejection(engine, memory, pool.total_bytes, free_bytes),
    ):
        if found is not None:
            yield found


def leaving_room_for_graphs(
    context: Context,
    request: PlanRequest,
    memories: Sequence[RankMemory],
    pools: Sequence[Pool],
    frees: Sequence[int],
) -> PlanRequest:
    """Lower a fraction that nobody asked for where what is captured after sizing the cache would not fit."""
    engine = context.engine
    if context.request.gpu_memory_utilization is not None:
        return request
    for memory, pool, free in zip(memories, pools, frees, strict=True):
        late = late_bytes(engine, memory, pool.total_bytes, free)
        if late:
            usable = max(1, usable_total_bytes(pool.total_bytes))
            fraction = int(100 * (utilization(engine, request) - late / usable)) / 100
            if fraction >= LEAST_UTILIZATION:
                request = replace(request, gpu_memory_utilization=fraction)
    return request

"""Judge one replica on its GPUs: its rules, its memory, its cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory import ReplicaMemory, engine_limits, kv_cache_tokens, max_concurrency, rank_memory
from cluster.planner.memory.budget import (
    budget_bytes,
    startup_free_bytes,
    usable_total_bytes,
    utilization,
)
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Pool
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory, Rejection
from cluster.planner.rule import Rule
from cluster.planner.rules import layout_rejections, memory_notes, memory_rejections
from cluster.planner.search.context import Context
from cluster.planner.search.stages import split_layers
from cluster.planner.search.startup_checks import LEAST_UTILIZATION, leaving_room_for_graphs, start_rejections

_SPLIT_RESERVE_BYTES = 3 * 1024**3
_START_MARGIN_BYTES = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a replica before time is estimated."""

    rejections: tuple[Rejection, ...]
    request: PlanRequest
    """As judged: the memory fraction is lowered where GPUs are partly used and the user left it free."""
    stages: tuple[StageRange, ...] = ()
    memories: tuple[RankMemory, ...] = ()
    kv_tokens: int = 0
    max_concurrency: float = 0.0
    notes: tuple[str, ...] = ()
    """What a user should know of a replica that fits."""

    @property
    def feasible(self) -> bool:
        return not self.rejections

    @property
    def tightest(self) -> RankMemory | None:
        """The rank with the least room beside its weights and overheads."""
        return min(self.memories, key=lambda rank: rank.budget_bytes - rank.fixed_bytes, default=None)


def judge(context: Context, form: Form, pools: Sequence[Pool], frees: Sequence[int]) -> Judgement:
    """Judge a replica of this form whose chunks have these pools and free bytes."""
    layout, request = form.layout(), context.request
    ruled_out = _longer_than_the_model(context) or _rule_rejections(context, layout, pools)
    if ruled_out or form.pp > context.model.num_layers:
        return Judgement(ruled_out, request)
    stage_pools, stage_frees = _by_stage(form, pools), _least_by_stage(form, frees)
    request = _fitting_request(context, stage_pools, stage_frees)
    stages = _split(context, layout, request, stage_pools, stage_frees)
    memories = _memories(context, layout, request, stages, stage_pools, stage_frees)
    lowered = leaving_room_for_graphs(context, request, memories, stage_pools, stage_frees)
    if lowered is not request:
        request = lowered
        memories = _memories(context, layout, request, stages, stage_pools, stage_frees)
    judgement = _with_cache(context, layout, request, stages, memories, stage_pools)
    if not judgement.feasible:
        return judgement
    seats = zip(stages, memories, stage_pools, stage_frees, strict=True)
    refused = islice((one for seat in seats for one in start_rejections(context, layout, *seat)), 1)
    return replace(judgement, rejections=tuple(refused))


def _longer_than_the_model(context: Context) -> tuple[Rejection, ...]:
    """Engines refuse sequences longer than the positions a model was made for."""
    asked, model = context.request.max_model_len, context.model
    if asked is None or asked <= model.max_position or not model.known_architecture:
        return ()
    message = (
        f"--max-model-len {asked:,} is more than the {model.max_position:,} tokens the model was made for"
    )
    return (Rejection(Rule.MAX_LEN_EXCEEDS_MODEL, message),)


def _rule_rejections(context: Context, layout: Layout, pools: Sequence[Pool]) -> tuple[Rejection, ...]:
    found: dict[tuple[str, str], Rejection] = {}
    for pool in dict.fromkeys(pools):
        for rejection in layout_rejections(context.model, layout, pool.spec, context.engine, context.request):
            found.setdefault((rejection.rule, rejection.message), rejection)
    return tuple(found.values())


def _by_stage(form: Form, pools: Sequence[Pool]) -> list[Pool]:
    return list(pools[:: form.chunks_per_stage])


def _least_by_stage(form: Form, frees: Sequence[int]) -> list[int]:
    size = form.chunks_per_stage
    return [min(frees[first : first + size]) for first in range(0, len(frees), size)]


def _fitting_request(context: Context, pools: Sequence[Pool], frees: Sequence[int]) -> PlanRequest:
    """Lower the memory fraction to what is free where the engine would otherwise refuse to start."""
    request, engine = context.request, context.engine
    if request.gpu_memory_utilization is not None:
        return request
    for pool, free in zip(pools, frees, strict=True):
        wanted = startup_free_bytes(engine, request, pool.total_bytes)
        if free < wanted:
            usable = max(1, usable_total_bytes(pool.total_bytes))
            # What the check wants beside the fraction stays as it is when the fraction is lowered.
            beside = wanted - int(usable * utilization(engine, request))
            fraction = int((free - beside - _START_MARGIN_BYTES) * 100 / usable) / 100
            if fraction >= LEAST_UTILIZATION:
                request = replace(request, gpu_memory_utilization=fraction)
    return request


def _split(
    context: Context, layout: Layout, request: PlanRequest, pools: Sequence[Pool], frees: Sequence[int]
) -> tuple[StageRange, ...]:
    rooms = [
        budget_bytes(context.engine, request, pool.total_bytes, free) - _SPLIT_RESERVE_BYTES
        for pool, free in zip(pools, frees, strict=True)
    ]
    return split_layers(context.model, layout, context.engine, rooms)


def _memories(
    context: Context,
    layout: Layout,
    request: PlanRequest,
    stages: Sequence[StageRange],
    pools: Sequence[Pool],
    frees: Sequence[int],
) -> tuple[RankMemory, ...]:
    return tuple(
        rank_memory(context.model, layout, stage, context.engine, request, pool.total_bytes, free, pool.spec)
        for stage, pool, free in zip(stages, pools, frees, strict=True)
    )


def _with_cache(
    context: Context,
    layout: Layout,
    request: PlanRequest,
    stages: tuple[StageRange, ...],
    memories: tuple[RankMemory, ...],
    pools: Sequence[Pool],
) -> Judgement:
    model, engine = context.model, context.engine
    smallest = min(pools, key=lambda pool: pool.total_bytes)
    limits = engine_limits(model, engine, request, smallest.total_bytes, smallest.spec)
    replica = ReplicaMemory.of(model, layout, stages, memories, engine, request, limits)
    rejections = memory_rejections(replica)
    return Judgement(
        rejections,
        request,
        stages,
        memories,
        kv_cache_tokens(replica),
        max_concurrency(replica),
        () if rejections else memory_notes(replica),
    )

"""The ranks of an order: each on its GPU, with the memory it is expected to hold and its layers."""

from __future__ import annotations

from cluster.deploy.spec import RankPlace
from cluster.planner.layout import Placement
from cluster.planner.result import Candidate


def rank_places(
    candidate: Candidate, cache_tokens: int | None = None, *, has_planned_layers: bool
) -> tuple[RankPlace, ...]:
    """Return the ranks of a layout; `cache_tokens` is a replica's KV cache if smaller than planned.

    `has_planned_layers` is False for a stand-in with other layers than the planned model's.
    """
    return tuple(
        _rank_place(candidate, place, cache_tokens, has_planned_layers) for place in candidate.placement
    )


def _rank_place(
    candidate: Candidate, place: Placement, cache_tokens: int | None, has_planned_layers: bool
) -> RankPlace:
    return RankPlace(
        replica=place.replica,
        stage=place.stage,
        rank=place.rank,
        node_id=place.node,
        node_name=place.node_name,
        gpu_index=place.gpu_index,
        gpu_uuid=place.gpu_uuid,
        planned_bytes=_planned_bytes(candidate, place.stage, cache_tokens),
        layers=_layers(candidate, place.stage) if has_planned_layers else None,
    )


def _layers(candidate: Candidate, stage: int) -> tuple[int, int] | None:
    """Return the layers of a stage as planned: uneven if memory or the model's ends need it."""
    if len(candidate.stages) < 2:
        return None
    planned = candidate.stages[stage]
    return planned.first, planned.end


def _planned_bytes(candidate: Candidate, stage: int, cache_tokens: int | None) -> int | None:
    """Return what the rank will hold: the whole plan, or the plan with a cache of `cache_tokens`."""
    by_stage = candidate.memory_by_stage
    memory = by_stage[stage] if stage < len(by_stage) else candidate.memory_per_gpu
    if memory is None:
        return None
    return memory.fixed_bytes + round(cache_share(candidate, cache_tokens) * memory.kv_cache_bytes)


def cache_share(candidate: Candidate, cache_tokens: int | None) -> float:
    """Return which part of the planned KV cache `cache_tokens` are; 1 where that is not known."""
    if cache_tokens is None or not candidate.kv_cache_tokens:
        return 1.0
    return min(1.0, cache_tokens / candidate.kv_cache_tokens)

"""Which layers each pipeline stage holds: by free memory, with lighter first and last stages."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import Attention, AttentionKind, ModelSpec
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.weights import sharded_weights
from cluster.planner.search.stage_split import own_split
from cluster.planner.sharding import kv_heads_on_rank

_HALVINGS = 24
_WORTH_A_SETTING = 0.05
"""A non-default split must free at least this share of the KV cache to be worth a setting."""
_kv_cache: IdentityCache[tuple[int, ...]] = IdentityCache()


@dataclass(frozen=True, slots=True)
class _Loads:
    """Bytes to divide over the stages."""

    cumulative: list[float]
    first_extra: float
    last_extra: float
    spare: float
    """What the weights leave for the KV cache."""

    @property
    def total(self) -> float:
        return self.cumulative[-1] + self.first_extra + self.last_extra


def split_layers(
    model: ModelSpec, layout: Layout, engine: EngineProfile, room_bytes: Sequence[int]
) -> tuple[StageRange, ...]:
    """Split the layers over stages with this much room each, so that the fullest one is as empty as possible.

    The engine's default split is kept if it is nearly as good. A layer's load is its weights plus its share
    of the cache that fills the room, so stages run out of cache together. Every stage gets at least one
    layer; callers ensure len(room_bytes) <= model.num_layers.
    """
    num_stages = len(room_bytes)
    if num_stages == 1:
        return (StageRange(0, 0, model.num_layers, True, True),)
    loads = _layer_loads(model, layout, engine, sum(room_bytes))
    room = [max(1.0, float(size)) for size in room_bytes]
    low, high = loads.total / sum(room), loads.total / min(room) + 1.0
    best = _even_ends(model.num_layers, num_stages)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        ends = _fill(loads, room, middle)
        if ends is None:
            low = middle
        else:
            best, high = ends, middle
    own = list(accumulate(own_split(engine.parallelism.layer_split, model.num_layers, num_stages)))
    if own and (_fullness(loads, room, own) - high) * sum(room) <= _WORTH_A_SETTING * loads.spare:
        best = own
    firsts = [0, *best[:-1]]
    return tuple(
        StageRange(i, first, end, i == 0, i == num_stages - 1)
        for i, (first, end) in enumerate(zip(firsts, best, strict=True))
    )


def _fill(loads: _Loads, room: list[float], fullness: float) -> list[int] | None:
    """Fill stage after stage up to `fullness` of its room; None when layers are left over."""
    num_layers, num_stages = len(loads.cumulative) - 1, len(room)
    ends: list[int] = []
    first = 0
    for stage, size in enumerate(room):
        later = num_stages - stage - 1
        extra = loads.first_extra if stage == 0 else 0.0
        extra += loads.last_extra if later == 0 else 0.0
        limit = loads.cumulative[first] + size * fullness - extra
        end = bisect_right(loads.cumulative, limit) - 1
        end = min(end, num_layers - later)
        if end <= first:
            return None
        ends.append(end)
        first = end
    return ends if first == num_layers else None


def _fullness(loads: _Loads, room: list[float], ends: Sequence[int]) -> float:
    """How full the fullest stage gets with these ends."""
    firsts = [0, *ends[:-1]]
    sizes = [loads.cumulative[end] - loads.cumulative[first] for first, end in zip(firsts, ends, strict=True)]
    sizes[0] += loads.first_extra
    sizes[-1] += loads.last_extra
    return max(size / own for size, own in zip(sizes, room, strict=True))


def _even_ends(num_layers: int, num_stages: int) -> list[int]:
    return [num_layers * (stage + 1) // num_stages for stage in range(num_stages)]


def _layer_loads(model: ModelSpec, layout: Layout, engine: EngineProfile, room_bytes: int) -> _Loads:
    weights = sharded_weights(model, layout, engine)
    cumulative = weights.cumulative_layer_bytes
    first_extra = weights.embedding_bytes + weights.vision_bytes
    last_extra = weights.head_bytes + weights.final_bytes + (weights.embedding_bytes if weights.tied else 0)
    kv = _kv_elements(model, layout.tp)
    spare = max(0.0, room_bytes - cumulative[-1] - first_extra - last_extra)
    per_element = spare / kv[-1] if kv[-1] else 0.0
    loads = [weight + per_element * elements for weight, elements in zip(cumulative, kv, strict=True)]
    return _Loads(loads, float(first_extra), float(last_extra), spare)


def _kv_elements(model: ModelSpec, tp: int) -> tuple[int, ...]:
    """Return cache elements per token of the first i layers on one rank; windows and states count as 0."""

    def make() -> tuple[int, ...]:
        return tuple(accumulate((_elements(layer.attention, tp) for layer in model.layers), initial=0))

    return _kv_cache.get(model, tp, make)


def _elements(attention: Attention, tp: int) -> int:
    if attention.kind is AttentionKind.LATENT:
        return attention.latent_dim + attention.index_dim
    if attention.kind is not AttentionKind.FULL:
        return 0
    heads = kv_heads_on_rank(attention.num_kv_heads, tp)
    return heads * (attention.head_dim + (attention.v_head_dim or attention.head_dim))

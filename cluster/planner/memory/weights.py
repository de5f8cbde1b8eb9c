"""Weight bytes of a pipeline stage on its largest rank, from the model's tensors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import Layer, ModelSpec, Tensor, Vision
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.allocation import kept_rest_bytes, latent_copy_bytes, rounding_bytes
from cluster.planner.sharding import ShardRules, shard_bytes


@dataclass(frozen=True, slots=True)
class ShardedWeights:
    """Bytes of a model's parts on one rank at fixed degrees."""

    cumulative_layer_bytes: tuple[int, ...]
    """Entry i: bytes of the first i layers."""
    embedding_bytes: int
    front_bytes: int
    """Further tensors beside the embedding."""
    head_bytes: int
    final_bytes: int
    vision_bytes: int
    buffer_bytes: int
    tied: bool


_cache: IdentityCache[ShardedWeights] = IdentityCache()


def shard_rules(
    layout: Layout, engine: EngineProfile, capability: tuple[int, int] | None = None
) -> ShardRules:
    """Return how this engine divides weights under this layout; its kernels pad by the GPU's generation."""
    weights = engine.weights
    mxfp4_padding = weights.mxfp4_padding
    if mxfp4_padding is None:
        return ShardRules(layout.tp, layout.ep, weights.vocab_padding)
    width = mxfp4_padding.width.at(capability[0] if capability else None)
    return ShardRules(layout.tp, layout.ep, weights.vocab_padding, mxfp4_padding.hidden, width)


def sharded_weights(
    model: ModelSpec, layout: Layout, engine: EngineProfile, capability: tuple[int, int] | None = None
) -> ShardedWeights:
    """Return the model's parts on one rank; cached, since only TP, EP and paddings change them."""
    rules = shard_rules(layout, engine, capability)
    return _cache.get(model, (rules, engine.name, engine.version), lambda: _shard(model, rules, engine))


def _shard(model: ModelSpec, rules: ShardRules, engine: EngineProfile) -> ShardedWeights:
    known: dict[int, int] = {}
    sizes = []
    for layer in model.layers:
        if id(layer) not in known:
            known[id(layer)] = layer_bytes(layer, rules) + _beside(layer, rules, engine, model.hidden_size)
        sizes.append(known[id(layer)])
    return ShardedWeights(
        cumulative_layer_bytes=tuple(accumulate(sizes, initial=0)),
        embedding_bytes=_table_bytes(model.embedding, rules, engine),
        front_bytes=sum(shard_bytes(tensor, rules) for tensor in model.front),
        head_bytes=_table_bytes(model.head, rules, engine) if model.head else 0,
        final_bytes=sum(shard_bytes(tensor, rules) for tensor in model.final),
        vision_bytes=_vision_bytes(model.vision, rules),
        buffer_bytes=_buffer_bytes(model, engine),
        tied=model.head is None,
    )


def layer_bytes(layer: Layer, rules: ShardRules) -> int:
    """Return the bytes of one layer on its largest rank."""
    return sum(shard_bytes(tensor, rules, layer.attention) for tensor in layer.tensors)


def _beside(layer: Layer, rules: ShardRules, engine: EngineProfile, hidden_size: int) -> int:
    rounding = rounding_bytes(layer, rules) if engine.weights.rounds_allocations else 0
    return rounding + latent_copy_bytes(layer, rules, engine, hidden_size)


def _buffer_bytes(model: ModelSpec, engine: EngineProfile) -> int:
    weights = engine.weights
    return weights.extra_bytes + (model.buffer_bytes if weights.counts_rotary_tables else 0)


def _table_bytes(table: Tensor, rules: ShardRules, engine: EngineProfile) -> int:
    size = shard_bytes(table, rules)
    return size + (kept_rest_bytes(size) if engine.weights.rounds_allocations else 0)


def _vision_bytes(vision: Vision | None, rules: ShardRules) -> int:
    if vision is None:
        return 0
    # A tower whose heads are not divisible by TP is replicated on every rank.
    whole = ShardRules(vocab_padding=rules.vocab_padding)
    used = whole if vision.num_heads and vision.num_heads % rules.tp else rules
    return sum(shard_bytes(tensor, used) for tensor in vision.tensors)


def stage_weights_bytes(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    capability: tuple[int, int] | None = None,
) -> int:
    """Return the weight bytes of the largest rank of a stage.

    Embedding and vision tower lie on the first stage, final norm and head on the last. A tied head is the
    embedding itself on one stage and a copy of it on the last of several.
    """
    parts = sharded_weights(model, layout, engine, capability)
    total = parts.cumulative_layer_bytes[stage.end] - parts.cumulative_layer_bytes[stage.first]
    total += parts.buffer_bytes
    if stage.is_first:
        total += parts.embedding_bytes + parts.front_bytes + parts.vision_bytes
    if stage.is_last:
        total += parts.head_bytes + parts.final_bytes
        if parts.tied and not stage.is_first:
            total += parts.embedding_bytes
    return total

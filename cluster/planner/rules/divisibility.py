"""Shapes that tensor and expert parallelism must divide.

Sources: heads, vLLM ModelConfig.verify_with_parallel_config; widths, its `divide` in distributed/utils.py;
scale groups, AWQ and GPTQ linear methods ("input size is not aligned with the quantized weight shape");
blocks, validate_fp8_block_shape and Fp8MoEMethod.create_weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import AttentionKind, Layer, ModelSpec, Split, Tensor
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule
from cluster.planner.rules.quant_shapes import quant_rejections
from cluster.planner.sharding import padded_vocab

_GROUPED_KINDS = (AttentionKind.FULL, AttentionKind.SLIDING, AttentionKind.CHUNKED)

_cache: IdentityCache[tuple[Rejection, ...]] = IdentityCache()


def split_rejections(model: ModelSpec, layout: Layout, engine: EngineProfile) -> tuple[Rejection, ...]:
    """Return the shapes of `model` that the engine cannot split this way, heads first, one per rule."""
    key = (layout.tp, layout.ep, engine.parallelism.uneven, engine.name, engine.version)
    return _cache.get(model, key, lambda: _one_a_rule(_find(model, layout, engine)))


def _one_a_rule(found: Iterable[Rejection]) -> tuple[Rejection, ...]:
    first: dict[str, Rejection] = {}
    for rejection in found:
        first.setdefault(rejection.rule, rejection)
    return tuple(first.values())


def _find(model: ModelSpec, layout: Layout, engine: EngineProfile) -> Iterator[Rejection]:
    layers = tuple({id(layer): layer for layer in model.layers}.values())
    for layer in layers:
        yield from _head_rejections(layer, layout.tp, engine.parallelism.uneven)
    for layer in layers:
        yield from _expert_count_rejections(layer, layout.ep)
        for tensor in layer.tensors:
            if tensor.is_expert and layout.ep > 1:
                continue
            if layout.tp > 1:
                yield from _width_rejections(tensor, layout.tp, engine)
            yield from quant_rejections(tensor, layer.attention, layout.tp, engine, _is_weight_only(model))
    yield from _tower_rejections(model, layout.tp, engine)
    yield from _vocab_rejections(model, layout.tp, engine)


def _head_rejections(layer: Layer, tp: int, uneven: bool) -> Iterator[Rejection]:
    heads, kv_heads = layer.attention.num_heads, layer.attention.num_kv_heads
    if uneven:
        if heads and tp > heads:
            yield Rejection(Rule.HEADS_NOT_DIVISIBLE, f"TP={tp} exceeds the {heads} attention heads")
        return
    if heads and heads % tp:
        kind = "state" if layer.attention.kind is AttentionKind.STATE else "attention"
        yield Rejection(Rule.HEADS_NOT_DIVISIBLE, f"TP={tp} does not divide {heads} {kind} heads")
    elif layer.attention.kind in _GROUPED_KINDS and kv_heads and kv_heads % tp and tp % kv_heads:
        yield Rejection(
            Rule.KV_HEADS_NOT_DIVISIBLE,
            f"TP={tp} neither divides {kv_heads} KV heads nor is a multiple of them",
        )


def _tower_rejections(model: ModelSpec, tp: int, engine: EngineProfile) -> Iterator[Rejection]:
    tower = model.vision
    if tower and tower.divides_heads and tower.num_heads % tp and engine.parallelism.tower_heads_must_divide:
        yield Rejection(
            Rule.HEADS_NOT_DIVISIBLE, f"TP={tp} does not divide the vision tower's {tower.num_heads} heads"
        )


def _expert_count_rejections(layer: Layer, ep: int) -> Iterator[Rejection]:
    if ep > 1 and layer.num_experts and layer.num_experts % ep:
        yield Rejection(Rule.EXPERTS_NOT_DIVISIBLE, f"EP={ep} does not divide {layer.num_experts} experts")


def _width_rejections(tensor: Tensor, tp: int, engine: EngineProfile) -> Iterator[Rejection]:
    if engine.parallelism.uneven or _is_padded(tensor, engine):
        return
    width = {Split.COLUMN: tensor.out_features, Split.ROW: tensor.in_features}.get(tensor.split)
    if width is not None and width % tp:
        what = "expert width" if tensor.is_expert else "intermediate size"
        yield Rejection(Rule.INTERMEDIATE_NOT_DIVISIBLE, f"TP={tp} does not divide the {what} {width}")


def _is_weight_only(model: ModelSpec) -> bool:
    return model.quantization is not None and model.quantization.activation_dtype is None


def _vocab_rejections(model: ModelSpec, tp: int, engine: EngineProfile) -> Iterator[Rejection]:
    rows = padded_vocab(model.vocab_size, engine.weights.vocab_padding)
    if engine.parallelism.vocab_must_divide and rows % tp:
        yield Rejection(Rule.VOCAB_NOT_DIVISIBLE, f"TP={tp} does not divide the padded vocabulary of {rows}")


def _is_padded(tensor: Tensor, engine: EngineProfile) -> bool:
    return tensor.is_expert and tensor.format.name == "mxfp4" and engine.weights.mxfp4_padding is not None

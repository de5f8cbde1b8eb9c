"""One plan per layer: everything in which two layers of a model can differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layer_kinds import (
    DENSE,
    FULL,
    NO_FEED_FORWARD,
    NO_MIXER,
    feed_forward_kinds,
    mixer_kinds,
    single_parts,
)
from cluster.catalog.hf_config.layers.latent import has_indexer

# Where a config states no compression: two strongly compressed layers, then weak and strong in turn.
_WEAK, _STRONG = 4, 128
_MULTIPLE = 256


@dataclass(frozen=True)
class LayerPlan:
    """Kinds of a layer's parts, and where it differs from the model-wide sizes."""

    mixer: str
    feed_forward: str
    kv_shared: bool = False
    indexed: bool = False
    ratio: int = 0
    """Tokens per cache entry in compressed attention; 0: window only."""
    heads: int | None = None
    kv_heads: int | None = None
    width: int | None = None
    """Width of the dense feed-forward part."""
    shares_block: bool = False
    """Attention and feed-forward part are those of an earlier layer."""
    linear_mixer: bool = False
    """The mixer was replaced by one linear map."""


def layer_plans(fields: Fields, family: Family) -> tuple[list[LayerPlan], list[str]]:
    """Return the plan of every layer and notes on what had to be assumed."""
    blocks = fields.items("block_configs")
    if blocks:
        return [_searched(fields, block) for block in blocks], []
    if family.parts_per_layer == 1 or fields.has("hybrid_override_pattern"):
        singles = single_parts(fields)
        if singles is not None:
            return [LayerPlan(mixer, part) for mixer, part in singles], []
    count = fields.integer("num_hidden_layers")
    if family.parts_per_layer == 1:
        note = "The config has no hybrid_override_pattern: the kinds of layers are assumed"
        return _assumed_parts(fields, count), [note]
    mixers, note = mixer_kinds(fields, family, count)
    parts = [NO_FEED_FORWARD] * count if family.mixer_only else feed_forward_kinds(fields, count)
    plans = [
        LayerPlan(mixer, part if i == 0 else DENSE)
        for mixer, part in zip(mixers, parts, strict=True)
        for i in range(family.layers_per_block)
    ]
    plans = _indexed(fields, _sharing(fields, _own_heads(fields, plans)))
    if family.attention == "compressed":
        plans = _compressed(fields, plans)
    if family.shared_block:
        plans = _with_shared_blocks(fields, plans)
    return plans, [note] if note else []


def _assumed_parts(fields: Fields, count: int) -> list[LayerPlan]:
    part = "E" if fields.integer("num_experts", 0, low=0) > 1 else "-"
    letters = [("M" if i % 2 == 0 else part) if i % 10 != 8 else "*" for i in range(count)]
    pattern = Fields({"hybrid_override_pattern": "".join(letters)}, fields.where)
    return [LayerPlan(mixer, kind) for mixer, kind in single_parts(pattern) or []]


def _own_heads(fields: Fields, plans: list[LayerPlan]) -> list[LayerPlan]:
    heads = fields.integers("num_attention_heads_per_layer", low=1)
    if heads is None or len(heads) < len(plans):
        return plans
    return [replace(plan, heads=heads[i]) for i, plan in enumerate(plans)]


def _sharing(fields: Fields, plans: list[LayerPlan]) -> list[LayerPlan]:
    """Mark the last layers that read an earlier layer's cache; they may have a wider feed-forward part."""
    shared = fields.integer("num_kv_shared_layers", 0, low=0)
    if not shared:
        return plans
    width = 2 * fields.integer("intermediate_size") if fields.flag("use_double_wide_mlp") else None
    first = len(plans) - shared
    return [replace(p, kv_shared=True, width=width) if i >= first else p for i, p in enumerate(plans)]


def _indexed(fields: Fields, plans: list[LayerPlan]) -> list[LayerPlan]:
    return [replace(plan, indexed=has_indexer(fields, i)) for i, plan in enumerate(plans)]


def _compressed(fields: Fields, plans: list[LayerPlan]) -> list[LayerPlan]:
    ratios = fields.integers("compress_ratios")
    if ratios is None or len(ratios) < len(plans):
        names = {"compressed_sparse_attention": _WEAK, "heavily_compressed_attention": _STRONG}
        listed = [names.get(kind, 0) for kind in fields.items("layer_types") or [] if isinstance(kind, str)]
        turns = [_STRONG if i < 2 or i % 2 == 0 else _WEAK for i in range(len(plans))]
        ratios = listed if len(listed) >= len(plans) else turns
    return [replace(plan, ratio=ratios[i], mixer=FULL) for i, plan in enumerate(plans)]


def _with_shared_blocks(fields: Fields, plans: list[LayerPlan]) -> list[LayerPlan]:
    """Leave the weights of the blocks to the first layers that use them."""
    blocks = fields.integer("num_mem_blocks", 1)
    attending = [i for i, plan in enumerate(plans) if plan.mixer == FULL]
    later = set(attending[blocks:])
    return [
        replace(plan, feed_forward=NO_FEED_FORWARD, shares_block=i in later) for i, plan in enumerate(plans)
    ]


def _searched(fields: Fields, block: Any) -> LayerPlan:
    """One block of an architecture search: its own group size, width, or nothing at all."""
    if not isinstance(block, dict):
        raise fields.bad("block_configs", block, "a list of objects")
    attention = Fields(block, f"{fields.where} block_configs").section("attention")
    ffn = Fields(block, f"{fields.where} block_configs").section("ffn")
    attention, ffn = attention or Fields({}, fields.where), ffn or Fields({}, fields.where)
    heads, hidden = fields.integer("num_attention_heads"), fields.integer("hidden_size")
    linear = attention.flag("replace_with_linear")
    kv_heads = attention.integer("num_key_value_heads", heads // attention.integer("n_heads_in_group", 1))
    factor = ffn.number("ffn_mult", 0.0, 0.0, 1000.0)
    # 2/3 of the factor, up to a multiple: the rule of gated feed-forward widths.
    width = -(-int(2 * factor * hidden / 3) // _MULTIPLE) * _MULTIPLE
    width = ffn.integer("intermediate_size", width, low=0)
    return LayerPlan(
        mixer=NO_MIXER if linear or attention.flag("no_op") else FULL,
        feed_forward=NO_FEED_FORWARD if ffn.flag("no_op") or not width else DENSE,
        kv_heads=max(1, kv_heads),
        width=width or None,
        linear_mixer=linear,
    )

"""Size of the rotary tables that engines build on every rank, which their logs count as weights.

vLLM keeps cos and sin of every position side by side in the compute dtype, one table for each base and
scaling, shared by the layers that use it (vllm/model_executor/layers/rotary_embedding).
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.model_spec import AttentionKind, Layer
from cluster.text import clean

_BYTES = 2
_NAMES = {AttentionKind.SLIDING: "sliding_attention", AttentionKind.CHUNKED: "chunked_attention"}
# Positions of images are counted along three axes in a longer table.
_MULTIMODAL_FACTOR = 4
_MAX_FACTOR = 1e6


def rotary_bytes(fields: Fields, layers: Iterable[Layer], max_position: int) -> int:
    """Return the bytes of a model's rotary tables: positions x rotary width for each distinct table."""
    tables = set()
    for layer in set(layers):
        kind = layer.attention.kind
        if kind in (AttentionKind.STATE, AttentionKind.NONE):
            continue
        section, tag = _scaling(fields, kind)
        width = _width(fields, section, layer.attention.head_dim)
        tables.add((tag, width, _positions(section, max_position)))
    return sum(width * positions for _, width, positions in tables) * _BYTES


def rope_section(fields: Fields) -> Fields:
    """Return the section that scales the rotary positions, by its new or its old name; empty where absent."""
    stated = (fields.section("rope_parameters"), fields.section("rope_scaling"))
    return next((section for section in stated if section and section.values), Fields({}, fields.where))


def rope_type(fields: Fields) -> str:
    """Return how a config scales its rotary positions ('llama3', 'yarn' ...); '' where it does not."""
    stated = rope_section(fields)
    named = stated.raw("rope_type") or stated.raw("type")
    return clean(named, 40) if isinstance(named, str) and named != "default" else ""


def _scaling(fields: Fields, kind: AttentionKind) -> tuple[Fields, str]:
    """Return the section that scales this kind of layer, and a tag that tells tables of other bases apart."""
    stated = rope_section(fields)
    name = _NAMES.get(kind, "full_attention")
    own = stated.values.get(name)
    if isinstance(own, dict):
        return Fields(own, f"{stated.where} {name}"), name
    # A local base of its own is never scaled.
    local = kind is AttentionKind.SLIDING and fields.has("rope_local_base_freq")
    return (Fields({}, fields.where), name) if local else (stated, "")


def _width(fields: Fields, section: Fields, head_dim: int) -> int:
    if fields.has("qk_rope_head_dim"):
        return fields.integer("qk_rope_head_dim", low=0)
    share = fields.number("partial_rotary_factor", fields.number("rotary_pct", 1.0, 0.0, 1.0), 0.0, 1.0)
    if "proportional" not in section.text("rope_type"):
        share = section.number("partial_rotary_factor", share, 0.0, 1.0)
    return int(head_dim * share)


def _positions(section: Fields, max_position: int) -> int:
    kind = section.text("rope_type", section.text("type"))
    factor = section.number("factor", 1.0, 0.0, _MAX_FACTOR)
    original = section.integer("original_max_position_embeddings", max_position)
    if section.has("mrope_section"):
        return max_position * _MULTIMODAL_FACTOR
    if kind in ("linear", "dynamic"):
        return round(max_position * factor)
    if "yarn" in kind:
        return round(original * factor)
    if kind in ("longrope", "su"):
        return original + max_position
    return max_position

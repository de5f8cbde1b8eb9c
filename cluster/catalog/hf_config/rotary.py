"""Size of the rotary tables that engines build on every rank, which their logs count as weights."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.model_spec import AttentionKind, Layer

_BYTES = 2


def rotary_bytes(fields: Fields, layers: Iterable[Layer], max_position: int) -> int:
    """Return bytes of the cos/sin tables: positions x rotary width, one table for each kind of layer's base.

    vLLM builds them in the compute dtype, cos and sin halves side by side, shared by layers of one base.
    """
    widths = {(layer.attention.kind, _rotary_width(fields, layer)) for layer in layers}
    bases = fields.raw("rope_parameters")
    by_kind = isinstance(bases, dict) and any(isinstance(value, dict) for value in bases.values())
    separate = by_kind or fields.has("rope_local_base_freq")
    sizes = [width for _, width in widths if width]
    return max_position * (sum(sizes) if separate else max(sizes, default=0)) * _BYTES


def _rotary_width(fields: Fields, layer: Layer) -> int:
    attention = layer.attention
    if attention.kind in (AttentionKind.STATE, AttentionKind.NONE):
        return 0
    if fields.has("qk_rope_head_dim"):
        return fields.integer("qk_rope_head_dim", low=0)
    share = fields.number("partial_rotary_factor", fields.number("rotary_pct", 1.0, 0.0, 1.0), 0.0, 1.0)
    return int(attention.head_dim * share)

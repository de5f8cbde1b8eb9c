"""What each layer is: which mixer it has and whether its feed-forward part is dense or sparse."""

from __future__ import annotations

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
RECURRENT, NONE = "linear_attention", "none"
DENSE, SPARSE = "dense", "sparse"

# Spellings of layer kinds in layer_types and its relatives.
_MIXER_NAMES = {
    "full_attention": FULL,
    "attention": FULL,
    "global": FULL,
    "sliding_attention": SLIDING,
    "local": SLIDING,
    "chunked_attention": CHUNKED,
    "linear_attention": RECURRENT,
    "mamba": RECURRENT,
    "conv": RECURRENT,
    "recurrent": RECURRENT,
}


def mixer_kinds(fields: Fields, family: Family, count: int) -> tuple[list[str], str]:
    """Return the mixer kind of every layer, and a note when the config's own list could not be used."""
    listed = fields.items("layer_types")
    note = ""
    if listed is not None:
        kinds = [_MIXER_NAMES.get(item) if isinstance(item, str) else None for item in listed]
        known = [kind for kind in kinds if kind is not None]
        if len(known) == count == len(listed):
            return [_without_window(fields, kind) for kind in known], ""
        note = f"layer_types lists {len(listed)} entries for {count} layers: the family's pattern is used"
    return [_without_window(fields, kind) for kind in _from_pattern(fields, family, count)], note


def _from_pattern(fields: Fields, family: Family, count: int) -> list[str]:
    turn = fields.integer("full_attention_interval", 0, low=0)
    if turn and family.recurrent:
        return [FULL if (i + 1) % turn == 0 else RECURRENT for i in range(count)]
    period = fields.raw("sliding_window_pattern")
    if period is not None and fields.has("sliding_window"):
        period = fields.check_integer("sliding_window_pattern", period)
        return [FULL if (i + 1) % period == 0 else SLIDING for i in range(count)]
    if family.pattern:
        return [family.pattern[i % len(family.pattern)] for i in range(count)]
    return [FULL] * count


def _without_window(fields: Fields, kind: str) -> str:
    """A sliding layer without a window attends to everything."""
    if kind == SLIDING and (not fields.has("sliding_window") or fields.raw("sliding_window") == 0):
        return FULL
    return kind


def feed_forward_kinds(fields: Fields, count: int) -> list[str]:
    """Return DENSE or SPARSE for every layer, from whichever fields the family states it in."""
    if fields.integer("num_experts", 0, low=0) <= 1:
        return [DENSE] * count
    frequency = fields.raw("moe_layer_freq")
    if isinstance(frequency, list):
        flags = fields.integers("moe_layer_freq") or []
        return [SPARSE if i < len(flags) and flags[i] else DENSE for i in range(count)]
    names = fields.items("mlp_layer_types")
    if names is not None and len(names) == count:
        return [SPARSE if name == "sparse" else DENSE for name in names]
    return [SPARSE if is_sparse else DENSE for is_sparse in _by_rule(fields, count)]


def _by_rule(fields: Fields, count: int) -> list[bool]:
    listed = fields.integers("moe_layers")
    if listed is not None:
        return [i in listed for i in range(count)]
    dense_layers = set(fields.integers("mlp_only_layers") or ())
    first = fields.integer("first_k_dense_replace", 0, low=0)
    every = fields.integer("moe_layer_freq", 1)
    step = max(1, fields.integer("decoder_sparse_step", 1, low=0))
    step = fields.integer("interleave_moe_layer_step", step)
    period, offset = fields.integer("expert_layer_period", 1), fields.integer("expert_layer_offset", 0, low=0)
    return [
        i >= first
        and i % every == 0
        and (i + 1) % step == 0
        and i % period == offset % period
        and i not in dense_layers
        for i in range(count)
    ]

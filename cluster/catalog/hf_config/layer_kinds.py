"""What each layer is: which mixer it has and whether its feed-forward part is dense or sparse."""

from __future__ import annotations

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
RECURRENT, NO_MIXER = "linear_attention", "none"
DENSE, SPARSE, NO_FEED_FORWARD = "dense", "sparse", "none"

# Spellings of layer kinds in layer_types and its relatives. Attention through an indexer or over compressed
# tokens is full attention as far as the pattern goes: other fields say the rest.
_MIXER_NAMES = {
    "full_attention": FULL,
    "attention": FULL,
    "global": FULL,
    "global_attention": FULL,
    "indexed_attention": FULL,
    "deepseek_sparse_attention": FULL,
    "compressed_sparse_attention": FULL,
    "heavily_compressed_attention": FULL,
    "minimax_m3_sparse": FULL,
    "sliding_attention": SLIDING,
    "local": SLIDING,
    "local_attention": SLIDING,
    "chunked_attention": CHUNKED,
    "linear_attention": RECURRENT,
    "mamba": RECURRENT,
    "conv": RECURRENT,
    "recurrent": RECURRENT,
    "hybrid": FULL,
    "mlp": NO_MIXER,
    "moe": NO_MIXER,
}
# Letters of a hybrid_override_pattern.
_LETTERS = {
    "M": (RECURRENT, NO_FEED_FORWARD),
    "*": (FULL, NO_FEED_FORWARD),
    "-": (NO_MIXER, DENSE),
    "E": (NO_MIXER, SPARSE),
}
_PARTS = {"mlp": DENSE, "moe": SPARSE}


def single_parts(fields: Fields) -> list[tuple[str, str]] | None:
    """Return (mixer, feed-forward) of layers that are one or the other; None without a pattern."""
    letters = fields.text("hybrid_override_pattern")
    if letters:
        unknown = sorted(set(letters) - _LETTERS.keys())
        if unknown:
            raise fields.bad("hybrid_override_pattern", letters, f"letters of {' '.join(_LETTERS)}")
        return [_LETTERS[letter] for letter in letters]
    names = fields.items("layers_block_type")
    if names is None:
        return None
    kinds = [
        (_mixer(name), _PARTS.get(name, NO_FEED_FORWARD) if isinstance(name, str) else "") for name in names
    ]
    if any(mixer is None for mixer, _ in kinds):
        raise fields.bad("layers_block_type", names, f"a list of {', '.join(_MIXER_NAMES)}")
    return [(mixer, part) for mixer, part in kinds if mixer is not None]


def _mixer(name: object) -> str | None:
    return _MIXER_NAMES.get(name) if isinstance(name, str) else None


def mixer_kinds(fields: Fields, family: Family, count: int) -> tuple[list[str], str]:
    """Return the mixer kind of every layer, and a note when the config's own list could not be used."""
    listed, note = fields.items("layer_types"), ""
    if listed is not None:
        known = [kind for kind in map(_mixer, listed) if kind is not None]
        if len(known) == len(listed) >= count:
            return [_without_window(fields, kind) for kind in known[:count]], ""
        note = f"layer_types lists {len(known)} known kinds for {count} layers: the family's pattern is used"
    return [_without_window(fields, kind) for kind in _from_pattern(fields, family, count)], note


def _from_pattern(fields: Fields, family: Family, count: int) -> list[str]:
    numbered = _numbered(fields, count)
    if numbered is not None:
        return numbered
    turn = fields.integer("full_attention_interval", fields.integer("layer_group_size", 0, low=0), low=0)
    if turn and family.recurrent:
        return [FULL if (i + 1) % turn == 0 else RECURRENT for i in range(count)]
    if fields.has("attn_layer_period"):
        period, offset = fields.integer("attn_layer_period"), fields.integer("attn_layer_offset", 0, low=0)
        return [FULL if i % period == offset % period else RECURRENT for i in range(count)]
    if fields.raw("sliding_window_pattern") is not None and fields.has("sliding_window"):
        return _by_window_pattern(fields, count)
    if family.pattern:
        kinds = [family.pattern[i % len(family.pattern)] for i in range(count)]
        return [FULL, *kinds[1:]] if family.first_full else kinds
    return [FULL] * count


def _by_window_pattern(fields: Fields, count: int) -> list[str]:
    pattern = fields.raw("sliding_window_pattern")
    if isinstance(pattern, str) and pattern:
        # 'LLLG': local and global layers in turn.
        return [FULL if pattern[i % len(pattern)] == "G" else SLIDING for i in range(count)]
    period = fields.check_integer("sliding_window_pattern", pattern)
    return [FULL if (i + 1) % period == 0 else SLIDING for i in range(count)]


def _numbered(fields: Fields, count: int) -> list[str] | None:
    """Patterns given as numbers: one flag per layer, or the indices of the attention layers."""
    flags = fields.integers("hybrid_layer_pattern")
    if flags and len(flags) >= count:
        return [SLIDING if flag else FULL for flag in flags[:count]]
    kinds = fields.integers("attn_type_list")
    if kinds and len(kinds) >= count:
        return [FULL if kind else RECURRENT for kind in kinds[:count]]
    section = fields.section("linear_attn_config")
    if section is not None and section.has("full_attn_layers"):
        full = {i - 1 for i in section.integers("full_attn_layers") or ()}  # counted from 1
        return [FULL if i in full else RECURRENT for i in range(count)]
    indices = fields.integers("attn_layer_indices")
    if indices is None:
        indices = fields.integers("full_attn_idxs")
    return None if indices is None else [FULL if i in indices else RECURRENT for i in range(count)]


def _without_window(fields: Fields, kind: str) -> str:
    """A sliding layer without a window has full attention."""
    switched_off = not fields.flag("use_sliding_window", True)
    window = fields.integer("sliding_window", 0, low=0)
    return FULL if kind == SLIDING and (switched_off or not window) else kind


def feed_forward_kinds(fields: Fields, count: int) -> list[str]:
    """Return DENSE or SPARSE for every layer, from whichever fields the family states it in."""
    if not fields.flag("is_moe", True) or fields.integer("num_experts", 0, low=0) <= 1:
        return [DENSE] * count
    if isinstance(fields.raw("moe_layer_freq"), list):
        flags = fields.integers("moe_layer_freq") or []
        return [SPARSE if i < len(flags) and flags[i] else DENSE for i in range(count)]
    names = fields.items("mlp_layer_types")
    if names is not None and len(names) >= count:
        return [DENSE if name == "dense" else SPARSE for name in names[:count]]
    return [SPARSE if is_sparse else DENSE for is_sparse in _by_rule(fields, count)]


def _by_rule(fields: Fields, count: int) -> list[bool]:
    listed = fields.integers("moe_layers")
    if listed is None and fields.has("moe_layers_enum"):
        parts = fields.text("moe_layers_enum").split(",")
        listed = [int(part) for part in parts if part.strip().isdecimal() and len(part) < 9]
    if listed is not None:
        return [i in set(listed) for i in range(count)]
    dense_layers = set(fields.integers("mlp_only_layers") or ())
    first = fields.integer("first_k_dense_replace", fields.integer("moe_layer_start_index", 0, low=0), low=0)
    last = fields.integer("moe_layer_end_index", count - 1, low=-1)
    last = count - 1 if last < 0 else last
    every = fields.integer("moe_layer_freq", 1)
    step = fields.integer("interleave_moe_layer_step", fields.integer("decoder_sparse_step", 1))
    step = fields.integer("moe_layer_interval", step)
    period, offset = fields.integer("expert_layer_period", 1), fields.integer("expert_layer_offset", 0, low=0)
    return [
        first <= i <= last
        and i % every == 0
        and (i + 1) % step == 0
        and i % period == offset % period
        and i not in dense_layers
        for i in range(count)
    ]

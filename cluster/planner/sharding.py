"""One rank's shard of a weight: features, copies and bytes, by how the weight is split."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cluster.catalog.model_spec import Attention, Split, Tensor


@dataclass(frozen=True, slots=True)
class ShardRules:
    """How an engine splits weights: degrees, and the paddings it adds."""

    tp: int = 1
    expert_ranks: int = 1
    """Ranks over which whole experts are divided; 1: experts are split inside, over TP."""
    vocab_padding: int = 64
    """The vocabulary is padded to a multiple of this before it is divided over TP."""
    hidden_padding: int = 1
    """The hidden side of micro-scaled (MXFP4) experts is padded to a multiple of this."""
    width_padding: int = 1
    """Their inner width is padded to a multiple of this on each rank."""


def share(features: int, parts: int) -> int:
    """Return the largest rank's share of `features` divided over `parts` ranks."""
    return -(-features // parts)


def kv_heads_on_rank(num_kv_heads: int, tp: int) -> int:
    """Return the KV heads one rank holds; beyond `num_kv_heads` ranks each holds a copy of one."""
    return max(1, share(num_kv_heads, tp)) if num_kv_heads else 0


def padded_vocab(vocab_size: int, padding: int) -> int:
    """Return the vocabulary rows after padding to a multiple of `padding`."""
    return math.ceil(vocab_size / padding) * padding


def _by_heads(features: int, heads: int, heads_on_rank: int, tp: int) -> int:
    if heads <= 0 or features % heads:
        return share(features, tp)
    return features // heads * heads_on_rank


def shard_shape(
    tensor: Tensor, rules: ShardRules, attention: Attention | None = None
) -> tuple[int, int, int]:
    """Return (out_features, in_features, copies) of the largest rank's part of `tensor`."""
    out, inner, copies, tp = tensor.out_features, tensor.in_features, tensor.copies, rules.tp
    if tensor.is_expert and rules.expert_ranks > 1:
        return out, inner, share(copies, rules.expert_ranks)
    heads = attention.num_heads if attention else 0
    kv_heads = attention.num_kv_heads if attention else 0
    match tensor.split:
        case Split.COLUMN:
            out = share(out, tp)
        case Split.ROW:
            inner = share(inner, tp)
        case Split.HEADS:
            out = _by_heads(out, heads, share(heads, tp), tp)
        case Split.KV_HEADS:
            out = _by_heads(out, kv_heads, kv_heads_on_rank(kv_heads, tp), tp)
        case Split.HEADS_IN:
            inner = _by_heads(inner, heads, share(heads, tp), tp)
        case Split.VOCAB:
            out = share(padded_vocab(out, rules.vocab_padding), tp)
        case Split.REPLICATED:
            pass
    return out, inner, copies


def shard_bytes(tensor: Tensor, rules: ShardRules, attention: Attention | None = None) -> int:
    """Return the bytes of the largest rank's part of `tensor`, scales and engine padding included."""
    out, inner, copies = shard_shape(tensor, rules, attention)
    if tensor.is_expert and tensor.format.name == "mxfp4":
        to_width = tensor.split is Split.COLUMN
        out = _padded(out, rules.width_padding if to_width else rules.hidden_padding)
        inner = _padded(inner, rules.hidden_padding if to_width else rules.width_padding)
    return tensor.format.size_bytes(out, inner) * copies


def _padded(features: int, multiple: int) -> int:
    return features if features == 1 else math.ceil(features / multiple) * multiple

"""Softmax attention over keys and values: multi-head, grouped or multi-query, full, sliding or chunked."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.hf_config.builder import TensorBuilder
from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.model_spec import Attention, AttentionKind, Split, Tensor

KINDS = {
    "full_attention": AttentionKind.FULL,
    "sliding_attention": AttentionKind.SLIDING,
    "chunked_attention": AttentionKind.CHUNKED,
}


@dataclass(frozen=True)
class Heads:
    """Head counts and widths of one kind of layer."""

    query: int
    key_value: int
    dim: int
    value_dim: int


def read_heads(fields: Fields, family: Family, kind: str) -> Heads:
    """Read the heads of layers of `kind`; some families give sliding and full layers different ones."""
    fields_of = {
        name: name for name in ("num_attention_heads", "num_key_value_heads", "head_dim", "v_head_dim")
    }
    for name, replacement in family.overrides.get(kind, {}).items():
        if fields.has(replacement):
            fields_of[name] = replacement
    query = fields.integer(fields_of["num_attention_heads"])
    key_value = fields.integer(fields_of["num_key_value_heads"], _default_kv_heads(fields, query))
    hidden = fields.integer("hidden_size")
    dim = fields.integer(fields_of["head_dim"], max(1, hidden // query))
    return Heads(query, key_value, dim, fields.integer(fields_of["v_head_dim"], dim))


def _default_kv_heads(fields: Fields, query: int) -> int:
    return 1 if fields.raw("multi_query") is True else query


def is_on(fields: Fields, trait: bool | str) -> bool:
    """Resolve a trait that is a flag or the name of the config field holding it."""
    return fields.flag(trait) if isinstance(trait, str) else trait


def standard_attention(
    fields: Fields, family: Family, builder: TensorBuilder, kind: str
) -> tuple[Attention, list[Tensor]]:
    """Return the mixer and its tensors for one layer of `kind` ('full_attention', 'sliding_attention' ...)."""
    heads = read_heads(fields, family, kind)
    attention = Attention(
        KINDS.get(kind, AttentionKind.FULL),
        num_heads=heads.query,
        num_kv_heads=heads.key_value,
        head_dim=heads.dim,
        v_head_dim=heads.value_dim,
        window=read_window(fields, kind),
    )
    return attention, attention_tensors(fields, family, builder, heads)


def read_window(fields: Fields, kind: str) -> int | None:
    """Return the tokens a sliding or chunked layer keeps; None for full attention."""
    names = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
    return fields.integer(names[kind], 0, low=0) or None if kind in names else None


def attention_tensors(fields: Fields, family: Family, builder: TensorBuilder, heads: Heads) -> list[Tensor]:
    """Return q, k, v and o with their biases, norms, sinks and gate."""
    hidden = fields.integer("hidden_size")
    bias, module = is_on(fields, family.qkv_bias), family.mixer_module
    query = heads.query * heads.dim
    gated = 2 if family.output_gate == "fused" else 1
    tensors = [
        *builder.linear(f"{module}.q_proj", query * gated, hidden, Split.HEADS, bias=bias),
        *builder.linear(f"{module}.k_proj", heads.key_value * heads.dim, hidden, Split.KV_HEADS, bias=bias),
        *builder.linear(
            f"{module}.v_proj", heads.key_value * heads.value_dim, hidden, Split.KV_HEADS, bias=bias
        ),
        *builder.linear(
            f"{module}.o_proj",
            hidden,
            heads.query * heads.value_dim,
            Split.HEADS_IN,
            bias=is_on(fields, family.o_bias),
        ),
        *_qk_norms(fields, family, builder, heads),
    ]
    if family.output_gate == "per_head":
        tensors += builder.linear(f"{module}.g_proj", heads.query, hidden, Split.HEADS)
    if family.sinks:
        tensors.append(builder.vector(f"{module}.sinks", heads.query, Split.HEADS))
    return tensors


def _qk_norms(fields: Fields, family: Family, builder: TensorBuilder, heads: Heads) -> list[Tensor]:
    if family.qk_norm == "none" or (family.qk_norm_if and not fields.flag(family.qk_norm_if)):
        return []
    sizes = {
        "head": (heads.dim, heads.dim),
        "full": (heads.query * heads.dim, heads.key_value * heads.dim),
        "heads": (heads.query * heads.dim, heads.key_value * heads.dim),
    }[family.qk_norm]
    splits = (Split.REPLICATED,) * 2 if family.qk_norm == "head" else (Split.HEADS, Split.KV_HEADS)
    names = ("q_norm", "k_norm")
    return [
        builder.vector(f"{family.mixer_module}.{n}", s, p)
        for n, s, p in zip(names, sizes, splits, strict=True)
    ]

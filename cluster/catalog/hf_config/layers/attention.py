"""Softmax attention over keys and values: multi-head, grouped or multi-query, full, sliding or chunked."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
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


def read_heads(
    fields: Fields, family: Family, kind: str, heads: int | None = None, kv_heads: int | None = None
) -> Heads:
    """Read the heads of layers of `kind`; some families give sliding and full layers different ones."""
    other = fields.section("attention_other_setting")
    if other is not None and other.raw("attention_type") == kind:
        fields = Fields({**fields.values, **other.values}, fields.where, fields.defaults)
    fields_of = {
        name: name for name in ("num_attention_heads", "num_key_value_heads", "head_dim", "v_head_dim")
    }
    for name, replacement in family.overrides.get(kind, {}).items():
        if fields.has(replacement):
            fields_of[name] = replacement
    query = heads or fields.integer(fields_of["num_attention_heads"])
    key_value = kv_heads or _kv_heads(fields, fields_of["num_key_value_heads"], query)
    hidden = fields.integer("hidden_size")
    dim = fields.integer(fields_of["head_dim"], max(1, hidden // query))
    return Heads(query, key_value, dim, fields.integer(fields_of["v_head_dim"], dim))


def _kv_heads(fields: Fields, name: str, query: int) -> int:
    # Early multi-query models repeat the number of query heads there.
    if fields.flag("multi_query") and not fields.flag("new_decoder_architecture"):
        return 1
    return fields.integer(name, query)


def is_on(fields: Fields, trait: bool | str) -> bool:
    """Resolve a trait that is a flag or the name of the config field holding it."""
    return fields.flag(trait) if isinstance(trait, str) else trait


def standard_attention(
    fields: Fields,
    family: Family,
    builder: TensorBuilder,
    kind: str,
    *,
    heads: int | None = None,
    kv_heads: int | None = None,
    kv_shared: bool = False,
    indexed: bool = False,
) -> tuple[Attention, list[Tensor]]:
    """Return the mixer and its tensors for a layer of `kind` ('full_attention', 'sliding_attention' ...)."""
    sizes = read_heads(fields, family, kind, heads, kv_heads)
    sparse = fields.section("sparse_attention_config") if indexed else None
    index_dim = sparse.integer("sparse_index_dim", 128) if sparse is not None else 0
    attention = Attention(
        KINDS.get(kind, AttentionKind.FULL),
        num_heads=sizes.query,
        num_kv_heads=sizes.key_value,
        head_dim=sizes.dim,
        v_head_dim=sizes.value_dim,
        window=read_window(fields, kind),
        kv_shared=kv_shared,
        index_dim=index_dim,
        index_bytes=2.0 if index_dim else 1.0,
    )
    has_value = not (
        kind == "full_attention" and family.value_from_key and fields.flag(family.value_from_key)
    )
    tensors = attention_tensors(
        fields, family, builder, sizes, has_key=not kv_shared, has_value=has_value and not kv_shared
    )
    if sparse is not None:
        hidden, count = fields.integer("hidden_size"), sparse.integer("sparse_num_index_heads", 1)
        name = f"{family.mixer_module}.index"
        tensors += builder.linear(f"{name}_q_proj", count * index_dim, hidden, Split.REPLICATED)
        tensors += builder.linear(f"{name}_k_proj", index_dim, hidden, Split.REPLICATED)
    return attention, tensors


def read_window(fields: Fields, kind: str) -> int | None:
    """Return the tokens a sliding or chunked layer keeps; None for full attention."""
    names = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
    return fields.integer(names[kind], 0, low=0) or None if kind in names else None


def attention_tensors(
    fields: Fields, family: Family, builder: TensorBuilder, heads: Heads, *, has_key: bool, has_value: bool
) -> list[Tensor]:
    """Return q, k, v and o with their biases, norms, sinks and gate."""
    hidden = fields.integer("hidden_size")
    bias, module = is_on(fields, family.qkv_bias), family.mixer_module
    query, key = heads.query * heads.dim, heads.key_value * heads.dim
    value = heads.key_value * heads.value_dim
    gated = 2 if family.output_gate == "fused" else 1
    tensors = builder.linear(f"{module}.q_proj", query * gated, hidden, Split.HEADS, bias=bias)
    if has_key:
        tensors += builder.linear(f"{module}.k_proj", key, hidden, Split.KV_HEADS, bias=bias)
    if has_value:
        tensors += builder.linear(f"{module}.v_proj", value, hidden, Split.KV_HEADS, bias=bias)
    out_bias = is_on(fields, family.o_bias)
    out_width = heads.query * heads.value_dim
    tensors += builder.linear(f"{module}.o_proj", hidden, out_width, Split.HEADS_IN, bias=out_bias)
    tensors += _qk_norms(fields, family, builder, heads, has_key=has_key)
    if family.output_gate == "per_head":
        tensors += builder.linear(f"{module}.g_proj", heads.query, hidden, Split.HEADS)
    elif family.output_gate == "full":
        tensors += builder.linear(f"{module}.gate_proj", out_width, hidden, Split.HEADS)
    if family.sinks:
        tensors.append(builder.vector(f"{module}.sinks", heads.query, Split.HEADS))
    return tensors


def _qk_norms(
    fields: Fields, family: Family, builder: TensorBuilder, heads: Heads, *, has_key: bool
) -> list[Tensor]:
    if family.qk_norm == "none" or (family.qk_norm_if and not fields.flag(family.qk_norm_if)):
        return []
    module = family.mixer_module
    if family.qk_norm == "head":
        query = [builder.vector(f"{module}.q_norm", heads.dim)]
        return [*query, builder.vector(f"{module}.k_norm", heads.dim)] if has_key else query
    return [
        builder.vector(f"{module}.q_norm", heads.query * heads.dim, Split.HEADS),
        builder.vector(f"{module}.k_norm", heads.key_value * heads.dim, Split.KV_HEADS),
    ]

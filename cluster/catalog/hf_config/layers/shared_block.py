"""Blocks of attention and feed-forward part whose weights several layers share (Zamba)."""

from __future__ import annotations

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.attention import Heads
from cluster.catalog.hf_config.layers.feed_forward import mlp_tensors
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.model_spec import Attention, AttentionKind, Split, Tensor


def shared_attention(
    fields: Fields, family: Family, builder: TensorBuilder, *, owns: bool
) -> tuple[Attention, list[Tensor]]:
    """Return a layer's use of a shared block; with `owns` the block's own weights too.

    The block reads the hidden state beside the embedding, twice as wide: modeling_zamba.py,
    modeling_zamba2.py.
    """
    hidden = fields.integer("hidden_size")
    width = fields.integer("attention_hidden_size", 2 * hidden)
    query = fields.integer("num_attention_heads")
    dim = fields.integer("attention_head_dim", max(1, width // query))
    heads = Heads(query, fields.integer("num_key_value_heads", query), dim, dim)
    attention = Attention(
        AttentionKind.FULL, num_heads=query, num_kv_heads=heads.key_value, head_dim=dim, v_head_dim=dim
    )
    tensors = builder.linear("linear", hidden, hidden, Split.REPLICATED, plain=True)
    tensors += _adapters(fields, builder, width)
    return attention, tensors + (_block(fields, family, builder, heads, width) if owns else [])


def _block(fields: Fields, family: Family, builder: TensorBuilder, heads: Heads, width: int) -> list[Tensor]:
    hidden, module = fields.integer("hidden_size"), "shared_transformer"
    keys = heads.key_value * heads.dim
    return [
        *builder.linear(f"{module}.q_proj", heads.query * heads.dim, width, Split.HEADS),
        *builder.linear(f"{module}.k_proj", keys, width, Split.KV_HEADS),
        *builder.linear(f"{module}.v_proj", keys, width, Split.KV_HEADS),
        *builder.linear(f"{module}.o_proj", hidden, heads.query * heads.dim, Split.HEADS_IN),
        *mlp_tensors(builder, f"{module}.feed_forward", hidden, block_width(fields), family.mlp),
        *builder.norm("input_norm", width, family.norm),
        *builder.norm("pre_ff_norm", hidden, family.norm),
    ]


def block_width(fields: Fields) -> int:
    """Return the width of a block's feed-forward part."""
    return fields.integer("intermediate_size", 4 * fields.integer("hidden_size"))


def _adapters(fields: Fields, builder: TensorBuilder, width: int) -> list[Tensor]:
    """Low-rank matrices that let each layer use the block in its own way."""
    if not fields.has("adapter_rank"):
        return []
    rank, hidden = fields.integer("adapter_rank"), fields.integer("hidden_size")
    pairs = [("gate_up", hidden, 2 * block_width(fields))]
    if fields.flag("use_shared_attention_adapter"):
        pairs += [(name, width, width) for name in ("q", "k", "v")]
    tensors: list[Tensor] = []
    for name, inner, out in pairs:
        tensors += builder.linear(f"{name}_adapter.0", rank, inner, Split.REPLICATED, plain=True)
        tensors += builder.linear(f"{name}_adapter.1", out, rank, Split.COLUMN, plain=True)
    return tensors

"""Attention over a window of shared keys plus compressed older tokens, some picked by an indexer."""

from __future__ import annotations

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.model_spec import Attention, AttentionKind, Split, Tensor


def compressed_attention(
    fields: Fields, family: Family, builder: TensorBuilder, ratio: int
) -> tuple[Attention, list[Tensor]]:
    """Return a layer that keeps a window and, beyond it, one entry for every `ratio` tokens (0: window only).

    Layers of a small ratio pick entries with an indexer; a layer of a large ratio attends to all of them.
    """
    heads, dim = fields.integer("num_attention_heads"), fields.integer("head_dim")
    picks = 0 < ratio <= fields.integer("index_max_ratio", 4)
    index_dim = fields.integer("index_head_dim", 128) if picks else 0
    attention = Attention(
        AttentionKind.LATENT if ratio else AttentionKind.SLIDING,
        num_heads=heads,
        num_kv_heads=1,
        head_dim=dim,
        v_head_dim=dim,
        window=fields.integer("sliding_window", 128),
        latent_dim=dim,
        index_dim=index_dim,
        compress_ratio=max(1, ratio),
    )
    tensors = _shared_key_tensors(fields, family, builder, heads, dim)
    if ratio:
        tensors += _compressor(
            fields, builder, f"{family.mixer_module}.compressor", dim, ratio, overlaps=picks
        )
    if picks:
        tensors += _indexer(fields, builder, f"{family.mixer_module}.indexer", index_dim, ratio)
    return attention, tensors


def _shared_key_tensors(
    fields: Fields, family: Family, builder: TensorBuilder, heads: int, dim: int
) -> list[Tensor]:
    hidden, module = fields.integer("hidden_size"), family.mixer_module
    query_rank = fields.integer("q_lora_rank")
    groups = fields.integer("o_groups", max(1, heads // 8))
    out_rank = fields.integer("o_lora_rank", 1024)
    return [
        builder.vector(f"{module}.sinks", heads, Split.HEADS),
        *builder.linear(f"{module}.q_a_proj", query_rank, hidden, Split.REPLICATED),
        builder.vector(f"{module}.q_a_norm", query_rank),
        *builder.linear(f"{module}.q_b_proj", heads * dim, query_rank, Split.HEADS),
        *builder.linear(f"{module}.kv_proj", dim, hidden, Split.REPLICATED),
        builder.vector(f"{module}.kv_norm", dim),
        # Each of `groups` groups of heads has its own low-rank output matrix.
        *builder.linear(f"{module}.o_a_proj", groups * out_rank, heads * dim // groups, Split.HEADS),
        *builder.linear(f"{module}.o_b_proj", hidden, groups * out_rank, Split.HEADS_IN),
    ]


def _compressor(
    fields: Fields, builder: TensorBuilder, module: str, dim: int, ratio: int, *, overlaps: bool
) -> list[Tensor]:
    hidden, width = fields.integer("hidden_size"), dim * (2 if overlaps else 1)
    return [
        *builder.linear(f"{module}.position_bias", ratio, width, Split.REPLICATED, plain=True),
        *builder.linear(f"{module}.kv_proj", width, hidden, Split.REPLICATED, plain=True),
        *builder.linear(f"{module}.gate_proj", width, hidden, Split.REPLICATED, plain=True),
        builder.vector(f"{module}.kv_norm", dim),
    ]


def _indexer(fields: Fields, builder: TensorBuilder, module: str, dim: int, ratio: int) -> list[Tensor]:
    heads, query_rank = fields.integer("index_n_heads", 64), fields.integer("q_lora_rank")
    return [
        *_compressor(fields, builder, module, dim, ratio, overlaps=True),
        *builder.linear(f"{module}.q_b_proj", heads * dim, query_rank, Split.REPLICATED),
        *builder.linear(
            f"{module}.weights_proj", heads, fields.integer("hidden_size"), Split.REPLICATED, plain=True
        ),
    ]

"""Latent attention: keys and values of a token kept as one compressed vector, the same on every TP rank."""

from __future__ import annotations

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.attention import is_on
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.model_spec import Attention, AttentionKind, Split, Tensor

# An indexer's cache holds FP8 keys and one fp32 scale per token (vLLM's sparse-attention indexer).
_INDEX_SCALE_BYTES = 4


def latent_attention(
    fields: Fields, family: Family, builder: TensorBuilder, *, indexed: bool
) -> tuple[Attention, list[Tensor]]:
    """Return the mixer and tensors of a latent layer, with its sparse-attention indexer where it has one."""
    heads = fields.integer("num_attention_heads")
    rank, rope = fields.integer("kv_lora_rank"), fields.integer("qk_rope_head_dim", 0, low=0)
    nope = fields.integer("qk_nope_head_dim", 128)
    value = fields.integer("v_head_dim", 128)
    index_dim = fields.integer("index_head_dim", 128) if indexed else 0
    attention = Attention(
        AttentionKind.LATENT,
        num_heads=heads,
        num_kv_heads=1,
        head_dim=nope + rope,
        v_head_dim=value,
        latent_dim=rank + rope,
        index_dim=index_dim,
        index_bytes=1 + _INDEX_SCALE_BYTES / index_dim if index_dim else 1.0,
    )
    tensors = _latent_tensors(fields, family, builder, heads, (rank, nope, rope, value))
    if index_dim:
        tensors += _indexer(fields, family, builder, index_dim)
    return attention, tensors


def _latent_tensors(
    fields: Fields, family: Family, builder: TensorBuilder, heads: int, widths: tuple[int, int, int, int]
) -> list[Tensor]:
    rank, nope, rope, value = widths
    hidden, module = fields.integer("hidden_size"), family.mixer_module
    bias = is_on(fields, family.qkv_bias)
    query_rank = fields.integer("q_lora_rank", 0, low=0)
    if query_rank:
        tensors = [
            *builder.linear(f"{module}.q_a_proj", query_rank, hidden, Split.REPLICATED, bias=bias),
            builder.vector(f"{module}.q_a_layernorm", query_rank),
            *builder.linear(f"{module}.q_b_proj", heads * (nope + rope), query_rank, Split.HEADS),
        ]
    else:
        tensors = builder.linear(f"{module}.q_proj", heads * (nope + rope), hidden, Split.HEADS)
    tensors += [
        *builder.linear(f"{module}.kv_a_proj_with_mqa", rank + rope, hidden, Split.REPLICATED, bias=bias),
        builder.vector(f"{module}.kv_a_layernorm", rank),
        *builder.linear(f"{module}.kv_b_proj", heads * (nope + value), rank, Split.HEADS),
        *builder.linear(f"{module}.o_proj", hidden, heads * value, Split.HEADS_IN, bias=bias),
    ]
    if family.output_gate == "per_head":
        tensors += builder.linear(f"{module}.g_proj", heads, hidden, Split.HEADS)
    elif family.latent_gate and fields.flag(family.latent_gate):
        tensors += builder.linear(f"{module}.g_proj", heads * value, hidden, Split.HEADS)
    return tensors


def has_indexer(fields: Fields, index: int) -> bool:
    """Whether layer `index` selects tokens with an indexer of its own."""
    sparse = fields.section("sparse_attention_config")
    if sparse is not None:
        flags = sparse.integers("sparse_attention_freq")
        return flags is not None and index < len(flags) and bool(flags[index])
    if not fields.has("index_n_heads"):
        return False
    kinds = fields.raw("indexer_types") or fields.raw("index_topk_pattern")
    if isinstance(kinds, list | str) and index < len(kinds):
        return kinds[index] not in ("shared", "S")
    # Every `freq` layers compute an index that the layers after them reuse.
    frequency = fields.integer("index_topk_freq", 1)
    offset = fields.integer("index_skip_topk_offset", 2, low=0)
    return max(index - offset + 1, 0) % frequency == 0


def _indexer(fields: Fields, family: Family, builder: TensorBuilder, dim: int) -> list[Tensor]:
    hidden, module = fields.integer("hidden_size"), f"{family.mixer_module}.indexer"
    heads = fields.integer("index_n_heads")
    query_rank = fields.integer("q_lora_rank", hidden, low=0) or hidden
    return [
        *builder.linear(f"{module}.wq_b", heads * dim, query_rank, Split.REPLICATED),
        *builder.linear(f"{module}.wk", dim, hidden, Split.REPLICATED),
        *builder.norm(f"{module}.k_norm", dim, "layer_bias"),
        *builder.linear(f"{module}.weights_proj", heads, hidden, Split.REPLICATED, plain=True),
    ]

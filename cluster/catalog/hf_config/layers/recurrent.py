"""Mixers that keep a fixed state per sequence: state-space models, delta nets, short convolutions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.hf_config.quantization.formats import plain_dtype
from cluster.catalog.model_spec import Attention, AttentionKind, Split, Tensor

Mixer = tuple[Attention, list[Tensor]]


def _state(
    fields: Fields, heads: int, key_heads: int, dim: int, elements: int, convolution: int
) -> Attention:
    stated = plain_dtype(fields.text("mamba_ssm_cache_dtype", fields.text("mamba_ssm_dtype", "bfloat16")))
    return Attention(
        AttentionKind.STATE,
        num_heads=heads,
        num_kv_heads=key_heads,
        head_dim=dim,
        state_elements=elements,
        conv_elements=convolution,
        state_dtype_bytes=4.0 if stated == "fp32" else 2.0,
    )


def gated_delta(fields: Fields, family: Family, builder: TensorBuilder) -> Mixer:
    """Gated delta net: a key-by-value matrix a value head, and a short convolution over q, k and v."""
    hidden, module = fields.integer("hidden_size"), "linear_attn"
    key_heads, value_heads = fields.integer("linear_num_key_heads"), fields.integer("linear_num_value_heads")
    key_dim, value_dim = fields.integer("linear_key_head_dim"), fields.integer("linear_value_head_dim")
    kernel = fields.integer("linear_conv_kernel_dim", 4)
    keys, values = key_heads * key_dim, value_heads * value_dim
    tensors = [
        *builder.linear(f"{module}.in_proj_qkv", 2 * keys + values, hidden, Split.COLUMN),
        *builder.linear(f"{module}.in_proj_z", values, hidden, Split.COLUMN),
        *builder.linear(f"{module}.in_proj_b", value_heads, hidden, Split.COLUMN),
        *builder.linear(f"{module}.in_proj_a", value_heads, hidden, Split.COLUMN),
        *builder.linear(f"{module}.conv1d", 2 * keys + values, kernel, Split.COLUMN, plain=True),
        builder.vector(f"{module}.A_log", value_heads, Split.COLUMN),
        builder.vector(f"{module}.dt_bias", value_heads, Split.COLUMN),
        builder.vector(f"{module}.norm", value_dim),
        *builder.linear(f"{module}.out_proj", hidden, values, Split.ROW),
    ]
    elements, convolution = value_heads * key_dim * value_dim, (2 * keys + values) * (kernel - 1)
    return _state(fields, value_heads, key_heads, value_dim, elements, convolution), tensors


def kimi_delta(fields: Fields, family: Family, builder: TensorBuilder) -> Mixer:
    """Delta attention with a decay per channel, its gates through low-rank projections."""
    section = fields.section("linear_attn_config") or Fields({}, fields.where)
    heads = section.integer("num_heads", fields.integer("linear_num_heads", 32))
    dim = section.integer("head_dim", fields.integer("linear_head_dim", 128))
    kernel = section.integer("short_conv_kernel_size", fields.integer("linear_conv_kernel_dim", 4))
    hidden, module, width = fields.integer("hidden_size"), "self_attn", heads * dim
    tensors = [
        tensor
        for name in ("q_proj", "k_proj", "v_proj")
        for tensor in builder.linear(f"{module}.{name}", width, hidden, Split.COLUMN)
    ]
    for name, switch in (("f", "use_full_rank_forget"), ("g", "use_full_rank_gate")):
        if section.flag(switch, fields.flag(switch)):
            tensors += builder.linear(f"{module}.{name}_proj", width, hidden, Split.COLUMN)
        else:
            tensors += builder.linear(f"{module}.{name}_a_proj", dim, hidden, Split.REPLICATED)
            tensors += builder.linear(f"{module}.{name}_b_proj", width, dim, Split.COLUMN)
    tensors += [
        *builder.linear(f"{module}.conv1d", 3 * width, kernel, Split.COLUMN, plain=True),
        *builder.linear(f"{module}.b_proj", heads, hidden, Split.COLUMN),
        builder.vector(f"{module}.dt_bias", width, Split.COLUMN),
        builder.vector(f"{module}.A_log", heads, Split.COLUMN),
        builder.vector(f"{module}.o_norm", dim),
        *builder.linear(f"{module}.o_proj", hidden, width, Split.ROW),
    ]
    return _state(fields, heads, heads, dim, heads * dim * dim, 3 * width * (kernel - 1)), tensors


def mamba2(fields: Fields, family: Family, builder: TensorBuilder) -> Mixer:
    """Mamba-2: one state matrix [head_dim, state] a head; B and C shared in groups of heads."""
    hidden, module = fields.integer("hidden_size"), family.recurrent_module
    heads = fields.integer("mamba_num_heads")
    dim = fields.integer("mamba_head_dim", max(1, hidden * fields.integer("expand", 2) // heads))
    state, groups = fields.integer("ssm_state_size", 128), fields.integer("n_groups", 1)
    kernel = fields.integer("conv_kernel", 4)
    inner = fields.integer("mamba_intermediate_size", heads * dim)
    channels = inner + 2 * groups * state
    biased, projected = fields.flag("use_conv_bias", True), fields.flag("mamba_proj_bias")
    tensors = [
        *builder.linear(f"{module}.in_proj", inner + channels + heads, hidden, Split.COLUMN, bias=projected),
        *builder.linear(f"{module}.conv1d", channels, kernel, Split.COLUMN, bias=biased, plain=True),
        *(builder.vector(f"{module}.{name}", heads, Split.COLUMN) for name in ("A_log", "D", "dt_bias")),
        *builder.linear(f"{module}.out_proj", hidden, inner, Split.ROW, bias=projected),
    ]
    if fields.flag("mamba_rms_norm", True):
        tensors.append(builder.vector(f"{module}.norm", inner, Split.COLUMN))
    return _state(fields, heads, groups, dim, heads * dim * state, channels * (kernel - 1)), tensors


def mamba1(fields: Fields, family: Family, builder: TensorBuilder) -> Mixer:
    """Mamba: a state vector per channel, its step size through a low-rank projection."""
    hidden, module = fields.integer("hidden_size"), family.recurrent_module
    inner = fields.integer("mamba_intermediate_size", hidden * fields.integer("expand", 2))
    state, kernel = fields.integer("ssm_state_size", 16), fields.integer("conv_kernel", 4)
    rank = -(-hidden // 16) if not fields.has("time_step_rank") else fields.integer("time_step_rank")
    tensors = [
        *builder.linear(f"{module}.in_proj", 2 * inner, hidden, Split.COLUMN),
        *builder.linear(f"{module}.conv1d", inner, kernel, Split.COLUMN, bias=True, plain=True),
        *builder.linear(f"{module}.x_proj", rank + 2 * state, inner, Split.ROW),
        *builder.linear(f"{module}.dt_proj", inner, rank, Split.COLUMN, bias=True),
        *builder.linear(f"{module}.A_log", inner, state, Split.COLUMN, plain=True),
        builder.vector(f"{module}.D", inner, Split.COLUMN),
        *builder.linear(f"{module}.out_proj", hidden, inner, Split.ROW),
    ]
    if family.normed_state:
        sizes = {"dt_layernorm": rank, "b_layernorm": state, "c_layernorm": state}
        tensors += [builder.vector(f"{module}.{name}", size) for name, size in sizes.items()]
    return _state(fields, inner, 1, state, inner * state, inner * (kernel - 1)), tensors


def lightning(fields: Fields, family: Family, builder: TensorBuilder) -> Mixer:
    """Linear attention with a fixed decay a head and an output gate."""
    hidden, module = fields.integer("hidden_size"), "self_attn"
    heads = fields.integer("num_attention_heads")
    dim = fields.integer("head_dim", hidden // heads)
    width = heads * dim
    tensors = [
        *builder.linear(f"{module}.qkv_proj", 3 * width, hidden, Split.COLUMN),
        *builder.linear(f"{module}.output_gate", width, hidden, Split.COLUMN),
        builder.vector(f"{module}.norm", width, Split.COLUMN),
        *builder.linear(f"{module}.out_proj", hidden, width, Split.ROW),
    ]
    return _state(fields, heads, heads, dim, heads * dim * dim, 0), tensors


def short_convolution(fields: Fields, family: Family, builder: TensorBuilder) -> Mixer:
    """A gated convolution over the last few tokens."""
    hidden, module = fields.integer("conv_dim", fields.integer("hidden_size")), "conv"
    kernel, bias = fields.integer("conv_L_cache", 3), fields.flag("conv_bias")
    tensors = [
        *builder.linear(f"{module}.in_proj", 3 * hidden, hidden, Split.COLUMN, bias=bias),
        *builder.linear(f"{module}.conv", hidden, kernel, Split.COLUMN, bias=bias, plain=True),
        *builder.linear(f"{module}.out_proj", hidden, hidden, Split.ROW, bias=bias),
    ]
    return _state(fields, 1, 1, hidden, 0, hidden * (kernel - 1)), tensors


def rwkv(fields: Fields, family: Family, builder: TensorBuilder) -> Mixer:
    """RWKV-4: a decayed average of values per channel: its numerator, denominator and exponent in 32 bits."""
    hidden, module = fields.integer("hidden_size"), "attention"
    width = fields.integer("attention_hidden_size", hidden)
    tensors = [
        tensor
        for name in ("key", "value", "receptance")
        for tensor in builder.linear(f"{module}.{name}", width, hidden, Split.COLUMN)
    ]
    tensors += builder.linear(f"{module}.output", hidden, width, Split.ROW)
    tensors += [builder.vector(f"{module}.{name}", width, Split.COLUMN) for name in ("decay", "first")]
    tensors += [builder.vector(f"{module}.mix_{name}", hidden) for name in ("key", "value", "receptance")]
    state = _state(fields, width, 1, 1, 3 * width, 2 * hidden)
    return replace(state, state_dtype_bytes=4.0), tensors


MIXERS: dict[str, Callable[[Fields, Family, TensorBuilder], Mixer]] = {
    "gated_delta": gated_delta,
    "kimi_delta": kimi_delta,
    "mamba2": mamba2,
    "mamba1": mamba1,
    "lightning": lightning,
    "short_convolution": short_convolution,
    "rwkv": rwkv,
}

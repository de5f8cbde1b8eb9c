"""The feed-forward part of a layer: dense, or routed experts with shared ones beside them."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.hf_config.families import Family
from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.layers.attention import is_on
from cluster.catalog.hf_config.layers.extras import extra_tensors
from cluster.catalog.hf_config.layers.tensor_builder import TensorBuilder
from cluster.catalog.model_spec import Split, Tensor


@dataclass(frozen=True)
class FeedForward:
    """Tensors and routing figures of one layer's feed-forward part."""

    tensors: tuple[Tensor, ...] = ()
    num_experts: int = 0
    experts_per_token: int = 0
    shared_experts: int = 0
    intermediate_size: int = 0


def dense(fields: Fields, family: Family, builder: TensorBuilder, width: int) -> FeedForward:
    """Return a dense feed-forward part of `width`."""
    bias = is_on(fields, family.mlp_bias)
    tensors = mlp_tensors(
        builder, family.mlp_module, fields.integer("hidden_size"), width, family.mlp, bias=bias
    )
    return FeedForward(tuple(tensors), intermediate_size=width)


def mlp_tensors(
    builder: TensorBuilder, module: str, hidden: int, width: int, kind: str, *, bias: bool = False
) -> list[Tensor]:
    """Return gate (when 'gated'), up and down of one dense block."""
    names = ("gate_proj", "up_proj") if kind == "gated" else ("up_proj",)
    tensors: list[Tensor] = []
    for name in names:
        tensors += builder.linear(f"{module}.{name}", width, hidden, Split.COLUMN, bias=bias)
    return [*tensors, *builder.linear(f"{module}.down_proj", hidden, width, Split.ROW, bias=bias)]


def sparse(fields: Fields, family: Family, builder: TensorBuilder) -> FeedForward:
    """Return a sparse feed-forward part: router, routed experts, shared experts."""
    hidden, module = fields.integer("hidden_size"), family.experts_module
    count = fields.integer("num_experts")
    used = min(count, fields.integer("num_experts_per_tok", min(2, count)))
    width = expert_width(fields)
    bias = is_on(fields, family.expert_bias)
    # Zero experts pass a token through: the router knows them, no weights do.
    routed = count + fields.integer("zero_expert_num", 0, low=0)
    tensors = builder.linear(
        f"{module}.gate", routed, hidden, Split.REPLICATED, bias=family.router_bias, plain=True
    )
    space = fields.integer("moe_latent_size", hidden) if family.latent_experts else hidden
    if space != hidden:
        tensors += builder.linear(f"{module}.fc1_latent_proj", space, hidden, Split.REPLICATED)
        tensors += builder.linear(f"{module}.fc2_latent_proj", hidden, space, Split.REPLICATED)
    names = ("gate_proj", "up_proj") if family.experts == "gated" else ("up_proj",)
    for name in names:
        tensors += builder.experts(
            f"{module}.experts.0.{name}", width, space, Split.COLUMN, count=count, active=used, bias=bias
        )
    tensors += builder.experts(
        f"{module}.experts.0.down_proj", space, width, Split.ROW, count=count, active=used, bias=bias
    )
    shared, shared_width = shared_experts(fields, family)
    tensors += _shared_tensors(family, builder, hidden, shared_width)
    if family.dense_beside_experts:
        beside = fields.integer(family.dense_field)
        tensors += mlp_tensors(builder, family.mlp_module, hidden, beside, family.mlp)
    tensors += extra_tensors(fields, builder, family.sparse_extras)
    return FeedForward(tuple(tensors), count, used, shared, width)


def _shared_tensors(family: Family, builder: TensorBuilder, hidden: int, width: int) -> list[Tensor]:
    if not width:
        return []
    name = f"{family.experts_module}.{family.shared_module}"
    tensors = mlp_tensors(builder, name, hidden, width, family.experts)
    if family.shared_gate:
        tensors += builder.linear(f"{name}_gate", 1, hidden, Split.REPLICATED, plain=True)
    return tensors


def dense_width(fields: Fields, family: Family) -> int:
    """Return the width of the dense feed-forward part of a layer that states none of its own."""
    if fields.has(family.dense_field):
        width = fields.integer(family.dense_field)
    elif fields.has("intermediate_size") or not family.intermediate_factor:
        width = fields.integer("intermediate_size")
    else:
        width = family.intermediate_factor * fields.integer("hidden_size")
    width = width // 2 if family.halved_intermediate else width
    return _adjusted(fields, width) if fields.flag("block_auto_adjust_ff_dim") else width


def _adjusted(fields: Fields, width: int) -> int:
    """Return two thirds of `width`, times a factor, rounded up to a multiple (modeling_lfm2.py, Lfm2MLP)."""
    factor = fields.number("block_ffn_dim_multiplier", 1.0, 0.0, 1000.0)
    multiple = fields.integer("block_multiple_of", 256)
    return max(1, -(-int(factor * int(2 * width / 3)) // multiple)) * multiple


def expert_width(fields: Fields) -> int:
    """Return the width of one routed expert."""
    if fields.has("moe_intermediate_size"):
        return fields.integer("moe_intermediate_size")
    return fields.integer("intermediate_size")


def shared_experts(fields: Fields, family: Family) -> tuple[int, int]:
    """Return how many shared experts a sparse layer has, and their width together."""
    count = fields.integer("n_shared_experts", 1 if family.shared_always else 0, low=0)
    if fields.has("shared_expert_intermediate_size"):
        width = fields.integer("shared_expert_intermediate_size", low=0)
        return (max(count, 1), width * max(count, 1)) if width else (0, 0)
    return count, count * expert_width(fields)

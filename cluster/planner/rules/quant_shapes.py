"""Quantized weights whose scale groups would be cut at the borders between ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import Attention, Split, Tensor
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule
from cluster.planner.sharding import ShardRules, shard_shape

# Formats whose engine kernels pad what a rank holds; their groups never stop a split.
_PADDED_FORMATS = ("mxfp4", "nvfp4", "mxfp8")
_INTEGER_FORMATS = ("int2", "int3", "int4", "int8")
_SPLITS_IN = (Split.ROW, Split.HEADS_IN)
_SPLITS_OUT = (Split.COLUMN, Split.HEADS, Split.KV_HEADS)


def quant_rejections(
    tensor: Tensor, attention: Attention, tp: int, engine: EngineProfile, weight_only: bool = False
) -> Iterator[Rejection]:
    """Yield the scale groups, blocks and kernel steps of one weight that `tp` ranks would cut.

    `weight_only`: activations stay in 16 bits, so mixed-precision kernels are used.
    """
    if tensor.format.name in _PADDED_FORMATS:
        return
    out, inner, _ = shard_shape(tensor, ShardRules(tp, 1, engine.weights.vocab_padding), attention)
    if tensor.format.block is not None:
        yield from _block_rejections(tensor, out, inner, tensor.format.block, tp)
        return
    step = engine.quantization.weight_only_step if weight_only else 1
    # A whole weight was quantized in groups that fit it; only a kernel's step can be wrong for it.
    if tensor.format.name in _INTEGER_FORMATS and (tp > 1 or step > 1):
        yield from _group_rejections(tensor, inner, max(tensor.format.group_size or 1, step), tp)


def _block_rejections(
    tensor: Tensor, out: int, inner: int, block: tuple[int, int], tp: int
) -> Iterator[Rejection]:
    if tensor.out_features < block[0] or tensor.in_features < block[1]:
        return  # too small to be stored in blocks
    if tensor.split in _SPLITS_OUT and out != tensor.out_features and out % block[0]:
        yield _block_rejection(tensor, tensor.out_features, out, block[0], tp)
    elif tensor.split in _SPLITS_IN and inner != tensor.in_features and inner % block[1]:
        yield _block_rejection(tensor, tensor.in_features, inner, block[1], tp)


def _block_rejection(tensor: Tensor, whole: int, on_rank: int, block: int, tp: int) -> Rejection:
    return Rejection(
        Rule.QUANT_BLOCK_NOT_DIVISIBLE,
        f"TP={tp} leaves {whole}/{tp} = {on_rank} features of {tensor.name} per rank, "
        f"not a multiple of the {tensor.format.name} block of {block}",
    )


def _group_rejections(tensor: Tensor, inner: int, group: int, tp: int) -> Iterator[Rejection]:
    if tensor.split not in _SPLITS_IN or inner % group == 0:
        return
    figures = (
        f"TP={tp} leaves {tensor.in_features:,}/{tp} = {inner:,} input features of {tensor.name} per rank"
    )
    if tensor.is_expert:
        # The fused expert kernels step through the inputs in blocks of a group.
        yield Rejection(
            Rule.QUANT_BLOCK_NOT_DIVISIBLE,
            f"{figures}, not a multiple of the expert kernel's block of {group}",
        )
    yield Rejection(
        Rule.QUANT_GROUP_NOT_DIVISIBLE,
        f"{figures}, not a multiple of {group} as {tensor.format.name} kernels need "
        f"(a checkpoint padded to {math.ceil(tensor.in_features / (group * tp)) * group * tp:,} would work)",
    )

"""Methods that store FP8 or FP4: the fp8 of DeepSeek and ModelOpt, FBGEMM, and MXFP4 experts."""

from __future__ import annotations

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization import formats
from cluster.catalog.hf_config.quantization.modelopt import listed_rules
from cluster.catalog.hf_config.quantization.reading import Reading, every_linear
from cluster.catalog.hf_config.quantization.scheme import Rule


def fp8(section: Fields, fields: Fields) -> Reading:
    block = section.integers("weight_block_size", low=1)
    if block is not None and len(block) != 2:
        raise section.bad("weight_block_size", block, "two numbers")
    stored = formats.fp8_block(block[0], block[1]) if block else formats.FP8_TENSOR
    rules = every_linear(stored)
    listed = section.section("quantized_layers")
    if listed is not None:
        # Experts requantized by ModelOpt inside an FP8 checkpoint.
        rules = (*listed_rules(listed), *rules)
        return Reading("fp8", rules, activation="fp8", also=("nvfp4", "modelopt"), drops_left_out=True)
    if section.text("expert_dtype", fields.text("expert_dtype")).lower() in ("fp4", "mxfp4"):
        rules = (Rule(None, formats.MXFP4, experts_only=True), *rules)
    return Reading("fp8", rules, activation="fp8")


def fbgemm_fp8(section: Fields, fields: Fields) -> Reading:
    return Reading("fp8", every_linear(formats.FP8_CHANNEL), activation="fp8")


def mxfp4(section: Fields, fields: Fields) -> Reading:
    return Reading("mxfp4", (Rule(None, formats.MXFP4, experts_only=True),))

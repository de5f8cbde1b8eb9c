"""NVIDIA ModelOpt: one algorithm for all modules, or one per module."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization import formats
from cluster.catalog.hf_config.quantization.module_set import ModuleSet
from cluster.catalog.hf_config.quantization.reading import Reading, every_linear
from cluster.catalog.hf_config.quantization.scheme import Rule
from cluster.catalog.model_spec import WeightFormat

# Algorithms that ModelOpt writes, each with its weight format and activation.
_ALGORITHMS: Mapping[str, tuple[str, WeightFormat, str | None]] = {
    "FP8": ("modelopt", formats.FP8_TENSOR, "fp8"),
    "FP8_PER_CHANNEL_PER_TOKEN": ("modelopt", formats.FP8_CHANNEL, "fp8"),
    "FP8_PB_WO": ("modelopt", formats.fp8_block(128, 128), "fp8"),
    "NVFP4": ("nvfp4", formats.NVFP4, "fp4"),
    "NVFP4_AWQ": ("nvfp4", formats.NVFP4, "fp4"),
    "W4A16_NVFP4": ("nvfp4", formats.NVFP4, None),
    "W4A16_AWQ": ("awq", formats.grouped_int(4, 128, False), None),
    "W4A8_AWQ": ("awq", formats.grouped_int(4, 128, False), "fp8"),
    "MXFP8": ("modelopt", formats.MXFP8, "fp8"),
    "MXFP4": ("mxfp4", formats.MXFP4, None),
    "INT8_SQ": ("modelopt", formats.INT8_CHANNEL, "int8"),
    "W8A16": ("modelopt", formats.INT8_CHANNEL, None),
}


def modelopt(section: Fields, fields: Fields) -> Reading:
    algorithm = section.text("quant_algo", "NVFP4").upper()
    if algorithm == "MIXED_PRECISION":
        return _mixed(section)
    if algorithm not in _ALGORITHMS:
        raise section.bad("quant_algo", algorithm, f"one of {', '.join(_ALGORITHMS)}")
    method, stored, activation = _ALGORITHMS[algorithm]
    return Reading(method, every_linear(stored), activation, also=("modelopt",))


def _mixed(section: Fields) -> Reading:
    """Layers of several algorithms: listed one by one, or experts in FP4 beside FP8 where they are not."""
    listed = section.section("quantized_layers")
    if listed is None:
        note = "MIXED_PRECISION without a list of layers: FP4 feed-forward and FP8 attention are assumed"
        attention = Rule(
            ModuleSet(("self_attn", "attn", "linear_attn", "mixer.in_proj", "mixer.out_proj")),
            formats.FP8_TENSOR,
        )
        return Reading(
            "nvfp4",
            (Rule(None, formats.NVFP4, experts_only=True), attention, *every_linear(formats.NVFP4)),
            "fp4",
            notes=(note,),
            also=("modelopt",),
        )
    return Reading("nvfp4", listed_rules(listed), "fp4", also=("modelopt",))


def listed_rules(listed: Fields) -> tuple[Rule, ...]:
    """Turn module -> algorithm into one rule an algorithm."""
    modules: dict[str, list[str]] = {}
    for name in listed.values:
        entry = listed.section(name)
        algorithm = entry.text("quant_algo").upper() if entry is not None else ""
        modules.setdefault(algorithm, []).append(name)
    return tuple(Rule(ModuleSet(n), _ALGORITHMS[a][1]) for a, n in modules.items() if a in _ALGORITHMS)

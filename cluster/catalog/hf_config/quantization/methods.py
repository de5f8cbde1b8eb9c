"""Readers of the quantisation methods: each turns its own fields into formats by module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization import formats
from cluster.catalog.hf_config.quantization.paths import ModuleSet
from cluster.catalog.hf_config.quantization.scheme import Rule
from cluster.catalog.model_spec import WeightFormat


@dataclass(frozen=True)
class Reading:
    """A method's name, its rules in order, and what it does to activations."""

    method: str
    rules: tuple[Rule, ...]
    activation: str | None = None
    converts_head: bool = False
    notes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Other names the same checkpoint answers to."""
    drops_left_out: bool = False
    """The list of modules left out is about one of several formats: the rules say it all."""


def every_linear(stored: WeightFormat) -> tuple[Rule, ...]:
    """Return the rule that stores every linear module as `stored`."""
    return (Rule(None, stored),)


def _fp8(section: Fields, fields: Fields) -> Reading:
    block = section.integers("weight_block_size", low=1)
    if block is not None and len(block) != 2:
        raise section.bad("weight_block_size", block, "two numbers")
    stored = formats.fp8_block(block[0], block[1]) if block else formats.FP8_TENSOR
    rules = every_linear(stored)
    listed = section.section("quantized_layers")
    if listed is not None:
        # Experts requantised by ModelOpt inside an FP8 checkpoint.
        rules = (*_listed_rules(listed), *rules)
        return Reading("fp8", rules, activation="fp8", also=("nvfp4", "modelopt"), drops_left_out=True)
    if section.text("expert_dtype", fields.text("expert_dtype")).lower() in ("fp4", "mxfp4"):
        rules = (Rule(None, formats.MXFP4, experts_only=True), *rules)
    return Reading("fp8", rules, activation="fp8")


def _fp8_rows(section: Fields, fields: Fields) -> Reading:
    return Reading("fp8", every_linear(formats.FP8_CHANNEL), activation="fp8")


def _mxfp4(section: Fields, fields: Fields) -> Reading:
    return Reading("mxfp4", (Rule(None, formats.MXFP4, experts_only=True),))


def _awq(section: Fields, fields: Fields) -> Reading:
    bits, group = _bits(section), _group(section)
    return Reading("awq", every_linear(formats.grouped_int(bits, group, section.flag("zero_point", True))))


def _gptq(section: Fields, fields: Fields) -> Reading:
    bits, group = _bits(section), _group(section)
    head = section.flag("lm_head")
    return Reading("gptq", every_linear(formats.grouped_int(bits, group, True)), converts_head=head)


def _bits(section: Fields) -> int:
    for name in ("bits", "w_bit"):
        if section.has(name):
            return section.integer(name)
    return 4


def _group(section: Fields) -> int | None:
    """Return the group size; None where one scale holds for a whole column (-1)."""
    for name in ("group_size", "q_group_size"):
        if section.has(name):
            size = section.integer(name, low=-1)
            return size if size > 0 else None
    return 128


def _bitsandbytes(section: Fields, fields: Fields) -> Reading:
    if section.flag("load_in_8bit"):
        return Reading("bitsandbytes", every_linear(formats.BNB_INT8))
    return Reading("bitsandbytes", every_linear(formats.NF4))


def _compressed_tensors(section: Fields, fields: Fields) -> Reading:
    groups = section.section("config_groups")
    if groups is None:
        note = "quantization_config has no config_groups: 4-bit groups of 32 are assumed"
        return Reading("compressed-tensors", every_linear(formats.grouped_int(4, 32, False)), notes=(note,))
    rules: list[Rule] = []
    activation: str | None = None
    for name in groups.values:
        group = groups.section(name)
        weights = group.section("weights") if group is not None else None
        if group is None or weights is None:
            continue
        inputs = group.section("input_activations")
        if inputs is not None:
            activation = _number_name(inputs)
        rules.append(Rule(_targets(group), _group_format(weights)))
    # Groups that name modules come before the one for every linear module.
    rules.sort(key=lambda rule: rule.targets is None)
    return Reading("compressed-tensors", tuple(rules), activation)


def _targets(group: Fields) -> ModuleSet | None:
    names = [item for item in group.items("targets") or ["Linear"] if isinstance(item, str)]
    return None if not names or "Linear" in names else ModuleSet(names)


def _number_name(section: Fields) -> str:
    kind = "fp" if section.text("type", "int") == "float" else "int"
    return f"{kind}{section.integer('num_bits', 8)}"


def _group_format(weights: Fields) -> WeightFormat:
    bits, strategy = weights.integer("num_bits", 8), weights.text("strategy", "channel")
    is_float = weights.text("type", "int") == "float"
    group = weights.integer("group_size", 0, low=-1)
    block = weights.integers("block_structure", low=1)
    if is_float and bits == 4:
        return formats.MXFP4 if group == 32 else formats.NVFP4
    if is_float:
        if strategy == "block" and block and len(block) == 2:
            return formats.fp8_block(block[0], block[1])
        if group == 32:
            return formats.MXFP8
        return formats.FP8_TENSOR if strategy == "tensor" else formats.FP8_CHANNEL
    if group > 0:
        return formats.grouped_int(bits, group, not weights.flag("symmetric", True))
    return replace(formats.INT8_CHANNEL, name=f"int{bits}", bits=float(bits), scale_bytes_per_group=2.0)


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


def _modelopt(section: Fields, fields: Fields) -> Reading:
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
    return Reading("nvfp4", _listed_rules(listed), "fp4", also=("modelopt",))


def _listed_rules(listed: Fields) -> tuple[Rule, ...]:
    """Turn module -> algorithm into one rule an algorithm."""
    modules: dict[str, list[str]] = {}
    for name in listed.values:
        entry = listed.section(name)
        algorithm = entry.text("quant_algo").upper() if entry is not None else ""
        modules.setdefault(algorithm, []).append(name)
    return tuple(Rule(ModuleSet(n), _ALGORITHMS[a][1]) for a, n in modules.items() if a in _ALGORITHMS)


def _unknown(section: Fields, fields: Fields) -> Reading:
    method = section.text("quant_method", "unnamed")
    if section.has("bits") or section.has("w_bit"):
        note = f"Quantisation method {method} is not known: taken as grouped integers of the stated bits"
        stored = formats.grouped_int(_bits(section), _group(section), True)
        return Reading(method, every_linear(stored), notes=(note,))
    note = f"Quantisation method {method} is not known: weights are planned unquantised"
    return Reading(method, (), notes=(note,))


READERS: dict[str, Callable[[Fields, Fields], Reading]] = {
    "": _unknown,
    "fp8": _fp8,
    "fbgemm_fp8": _fp8_rows,
    "mxfp4": _mxfp4,
    "awq": _awq,
    "gptq": _gptq,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed_tensors,
    "modelopt": _modelopt,
}

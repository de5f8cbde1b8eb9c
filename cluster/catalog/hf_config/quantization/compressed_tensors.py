"""compressed-tensors (llm-compressor): groups of modules, each with its own number type."""

from __future__ import annotations

from dataclasses import replace

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization import formats
from cluster.catalog.hf_config.quantization.module_set import ModuleSet
from cluster.catalog.hf_config.quantization.reading import Reading, every_linear
from cluster.catalog.hf_config.quantization.scheme import Rule
from cluster.catalog.model_spec import WeightFormat


def compressed_tensors(section: Fields, fields: Fields) -> Reading:
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

"""Methods that store integers of a few bits: AWQ, GPTQ, HQQ, BitNet, bitsandbytes; and unknown ones."""

from __future__ import annotations

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization import formats
from cluster.catalog.hf_config.quantization.reading import Reading, every_linear
from cluster.catalog.model_spec import WeightFormat

_BITNET = WeightFormat("int2", 2)


def awq(section: Fields, fields: Fields) -> Reading:
    bits, group = _bits(section), _group(section)
    return Reading("awq", every_linear(formats.grouped_int(bits, group, section.flag("zero_point", True))))


def gptq(section: Fields, fields: Fields) -> Reading:
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


def bitsandbytes(section: Fields, fields: Fields) -> Reading:
    if section.flag("load_in_8bit"):
        return Reading("bitsandbytes", every_linear(formats.BNB_INT8))
    return Reading("bitsandbytes", every_linear(formats.NF4))


def hqq(section: Fields, fields: Fields) -> Reading:
    """Half-quadratic quantization: bits and group size one or two levels down."""
    inner = section.section("quant_config") or section
    weights = inner.section("weight_quant_params") or inner
    bits, group = weights.integer("nbits", 4), weights.integer("group_size", 64, low=-1)
    return Reading("hqq", every_linear(formats.grouped_int(bits, group if group > 0 else None, True)))


def bitnet(section: Fields, fields: Fields) -> Reading:
    """Weights of three values, four in a byte."""
    return Reading("bitnet", every_linear(_BITNET), "int8")


def unknown(section: Fields, fields: Fields) -> Reading:
    method = section.text("quant_method", "unnamed")
    if section.has("bits") or section.has("w_bit"):
        note = f"Unknown quantization method {method}: assumed to store grouped integers of the stated bits"
        stored = formats.grouped_int(_bits(section), _group(section), True)
        return Reading(method, every_linear(stored), notes=(note,))
    note = f"Unknown quantization method {method}: weights are planned unquantized"
    return Reading(method, (), notes=(note,))

"""AMD Quark and torchao, which name number types in their own way."""

from __future__ import annotations

from cluster.catalog.hf_config.fields import Fields
from cluster.catalog.hf_config.quantization import formats
from cluster.catalog.hf_config.quantization.reading import Reading, every_linear
from cluster.catalog.model_spec import WeightFormat

_TORCHAO_FORMATS: dict[str, tuple[WeightFormat, str | None]] = {
    "int4weightonly": (formats.grouped_int(4, 128, True), None),
    "int8weightonly": (formats.INT8_CHANNEL, None),
    "int8dynamicactivationint8weight": (formats.INT8_CHANNEL, "int8"),
    "int8dynamicactivationint4weight": (formats.grouped_int(4, 32, False), "int8"),
    "float8weightonly": (formats.FP8_CHANNEL, None),
    "float8dynamicactivationfloat8weight": (formats.FP8_CHANNEL, "fp8"),
}


def quark(section: Fields, fields: Fields) -> Reading:
    """AMD Quark: one description for all modules, with the number type of weights and of inputs."""
    general = section.section("global_quant_config")
    weight = general.section("weight") if general else None
    if weight is None:
        return Reading("quark", (), notes=("Quark config without a weight type: planned unquantized",))
    inputs = general.section("input_tensors") if general else None
    kind, group = weight.text("dtype", ""), weight.integer("group_size", 0, low=-1)
    activation = None if inputs is None else inputs.text("dtype", "").partition("_")[0]
    if kind.startswith("fp8"):
        per_row = weight.text("qscheme", "per_tensor") != "per_tensor"
        stored = formats.FP8_CHANNEL if per_row else formats.FP8_TENSOR
    elif kind.startswith(("fp4", "mx_fp4")):
        stored = formats.MXFP4
    elif kind.startswith(("int4", "uint4")):
        stored = formats.grouped_int(4, group if group > 0 else None, kind.startswith("u"))
    elif kind.startswith("int8"):
        stored = formats.INT8_CHANNEL
    else:
        note = f"Unknown Quark weight type {kind or '(not named)'}: planned unquantized"
        return Reading("quark", (), notes=(note,))
    return Reading("quark", every_linear(stored), {"fp8": "fp8", "int8": "int8"}.get(activation or ""))


def torchao(section: Fields, fields: Fields) -> Reading:
    """torchao: the name of a config class, or of a function of earlier releases."""
    kind = section.raw("quant_type")
    group = 0
    if isinstance(kind, dict):
        first = Fields(kind, section.where).section("default") or Fields(kind, section.where)
        data = first.section("_data")
        group = data.integer("group_size", 0, low=-1) if data and data.has("group_size") else 0
        kind = first.text("_type", "")
    name = str(kind or "").lower().replace("_", "").removesuffix("config")
    known = _TORCHAO_FORMATS.get(name)
    if known is None:
        note = f"Unknown torchao type {str(kind)[:40] or '(not named)'}: planned unquantized"
        return Reading("torchao", (), notes=(note,))
    stored, activation = known
    if group > 0 and stored.group_size:
        stored = formats.grouped_int(int(stored.bits), group, name == "int4weightonly")
    return Reading("torchao", every_linear(stored), activation)

"""Quantization that a user requests for an unquantized model: the format each method would use."""

from __future__ import annotations

from cluster.catalog.hf_config.quantization import formats
from cluster.catalog.hf_config.quantization.reading import Reading, every_linear
from cluster.errors import BadInput
from cluster.text import clean

_INT4 = formats.grouped_int(4, 128, False)
_VARIANTS: dict[str, Reading] = {
    "fp8": Reading("fp8", every_linear(formats.FP8_TENSOR), "fp8"),
    "fp8_block": Reading("fp8", every_linear(formats.fp8_block(128, 128)), "fp8"),
    "fp8_dynamic": Reading("compressed-tensors", every_linear(formats.FP8_CHANNEL), "fp8"),
    "int8": Reading("compressed-tensors", every_linear(formats.INT8_CHANNEL), "int8"),
    "awq": Reading("awq", every_linear(formats.grouped_int(4, 128, True))),
    "gptq": Reading("gptq", every_linear(formats.grouped_int(4, 128, True))),
    "gptq_int8": Reading("gptq", every_linear(formats.grouped_int(8, 128, True))),
    "int4": Reading("compressed-tensors", every_linear(_INT4)),
    "mxfp4": Reading("mxfp4", every_linear(formats.MXFP4)),
    "mxfp8": Reading("mxfp8", every_linear(formats.MXFP8), "fp8"),
    "nvfp4": Reading("nvfp4", every_linear(formats.NVFP4), "fp4"),
    "bitsandbytes": Reading("bitsandbytes", every_linear(formats.NF4)),
}
_OTHER_NAMES = {
    "w8a8": "int8",
    "w4a16": "int4",
    "awq_marlin": "awq",
    "gptq_marlin": "gptq",
    "gptq_int4": "gptq",
    "compressed-tensors": "fp8_dynamic",
    "modelopt": "fp8",
    "modelopt_fp4": "nvfp4",
    "fp4": "nvfp4",
    "ptpc_fp8": "fp8_dynamic",
    "nf4": "bitsandbytes",
    "bnb": "bitsandbytes",
    "experts_int8": "int8",
}


def variant_reading(name: str) -> Reading:
    """Return the usual scheme of a method; raises BadInput with the known methods."""
    key = name.lower().replace("-", "_")
    key = _OTHER_NAMES.get(name.lower(), _OTHER_NAMES.get(key, key))
    if key not in _VARIANTS:
        known = ", ".join(_VARIANTS)
        raise BadInput(f"Unknown quantization method '{clean(name, 40)}'", f"Known methods: {known}")
    return _VARIANTS[key]

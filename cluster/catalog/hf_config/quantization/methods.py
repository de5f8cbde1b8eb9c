"""Which reader takes which quant_method."""

from __future__ import annotations

from cluster.catalog.hf_config.quantization.compressed_tensors import compressed_tensors
from cluster.catalog.hf_config.quantization.float_methods import fbgemm_fp8, fp8, mxfp4
from cluster.catalog.hf_config.quantization.integer_methods import (
    awq,
    bitnet,
    bitsandbytes,
    gptq,
    hqq,
    unknown,
)
from cluster.catalog.hf_config.quantization.modelopt import modelopt
from cluster.catalog.hf_config.quantization.reading import MethodReader
from cluster.catalog.hf_config.quantization.toolkits import quark, torchao

_READERS: dict[str, MethodReader] = {
    "awq": awq,
    "bitnet": bitnet,
    "bitsandbytes": bitsandbytes,
    "compressed-tensors": compressed_tensors,
    "fbgemm_fp8": fbgemm_fp8,
    "fp8": fp8,
    "gptq": gptq,
    "hqq": hqq,
    "modelopt": modelopt,
    "mxfp4": mxfp4,
    "quark": quark,
    "torchao": torchao,
}
# Spellings of one method: engines name their kernels ('awq_marlin'), configs the method.
_SAME_METHOD = {
    "awq_marlin": "awq",
    "gptq_marlin": "gptq",
    "auto-round": "gptq",
    "modelopt_fp4": "nvfp4",
    "modelopt": "nvfp4",
    "fbgemm_fp8": "fp8",
    "compressed_tensors": "compressed-tensors",
}


def same_method(name: str) -> str | None:
    """Return the method that another spelling means; None where `name` is no other spelling."""
    return _SAME_METHOD.get(name)


def find_reader(method: str) -> MethodReader:
    """Return the reader of a quant_method; that of unknown methods where there is none."""
    return _READERS.get(method) or _READERS.get(_SAME_METHOD.get(method, "")) or unknown

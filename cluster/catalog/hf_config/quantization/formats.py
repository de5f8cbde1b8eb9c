"""How weights are stored: the plain dtypes and the quantized formats checkpoints use."""

from __future__ import annotations

from cluster.catalog.model_spec import WeightFormat
from cluster.errors import BadInput
from cluster.text import clean

BF16 = WeightFormat("bf16", 16)
FP16 = WeightFormat("fp16", 16)
FP32 = WeightFormat("fp32", 32)
PLAIN = {"bf16": BF16, "fp16": FP16, "fp32": FP32}

_DTYPE_NAMES = {
    "bfloat16": "bf16",
    "bf16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "fp16": "fp16",
    "float32": "fp32",
    "float": "fp32",
    "fp32": "fp32",
}

# One fp32 scale per tensor is a few bytes: ignored.
FP8_TENSOR = WeightFormat("fp8", 8)
FP8_CHANNEL = WeightFormat("fp8", 8, scale_bytes_per_group=4)
INT8_CHANNEL = WeightFormat("int8", 8, scale_bytes_per_group=4)
MXFP4 = WeightFormat("mxfp4", 4, group_size=32, scale_bytes_per_group=1)
MXFP8 = WeightFormat("mxfp8", 8, group_size=32, scale_bytes_per_group=1)
NVFP4 = WeightFormat("nvfp4", 4, group_size=16, scale_bytes_per_group=1)
# bitsandbytes: absmax of 64 elements. Checkpoints quantize it once more to a byte; engines undo that as they
# load (vLLM, bitsandbytes_loader.py, dequantize_dq: Qwen2.5-3B 2.07 GiB).
NF4 = WeightFormat("nf4", 4, group_size=64, scale_bytes_per_group=4)
BNB_INT8 = WeightFormat("int8", 8, scale_bytes_per_group=4)


def plain_dtype(name: str) -> str | None:
    """Return 'bf16', 'fp16' or 'fp32' for a dtype as configs write it; None when it is none of these."""
    return _DTYPE_NAMES.get(name.lower().removeprefix("torch."))


def require_dtype(name: str) -> str:
    """Return the compute dtype a user asked for; raises BadInput when no engine computes in it."""
    dtype = plain_dtype(name)
    if dtype is None:
        raise BadInput(f"Unknown dtype '{clean(name, 40)}'", "Use auto, bfloat16, float16 or float32")
    return dtype


def fp8_block(out_size: int, in_size: int, scale_bytes: float = 4) -> WeightFormat:
    """FP8 with one scale per block, as in the 128x128 checkpoints."""
    return WeightFormat("fp8", 8, block=(out_size, in_size), scale_bytes_per_group=scale_bytes)


def grouped_int(bits: int, group_size: int | None, zero_points: bool) -> WeightFormat:
    """AWQ or GPTQ style integers: a 16-bit scale per group, and packed zero points where kept."""
    scale_bytes = 2 + (bits / 8 if zero_points else 0)
    return WeightFormat(f"int{bits}", bits, group_size=group_size, scale_bytes_per_group=scale_bytes)

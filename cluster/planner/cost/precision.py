"""In which dtype a weight is multiplied, and how wide a cached element is."""

from __future__ import annotations

from cluster.catalog.model_spec import ModelSpec, WeightFormat
from cluster.planner.request import PlanRequest

_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5625}


def _sixteen_bit(dtype: str, native: frozenset[str]) -> str:
    if dtype in native:
        return dtype
    return "fp16" if "fp16" in native else "fp32"


def compute_dtype(model: ModelSpec, stored: WeightFormat, native: frozenset[str]) -> str:
    """Return the dtype of the matrix product: the activations' where quantised and native, else 16-bit."""
    unquantised = stored.bits >= 16
    activations = model.quantization.activation_dtype if model.quantization else None
    if unquantised or activations is None or activations not in native:
        return _sixteen_bit(model.dtype, native)
    return activations


def kv_bytes_per_element(model: ModelSpec, request: PlanRequest) -> float:
    """Return the bytes of a cached element: as asked, else as the checkpoint says, else the model's dtype."""
    asked = request.kv_cache_dtype if request.kv_cache_dtype not in (None, "auto") else None
    kept = asked or (model.quantization.kv_cache_dtype if model.quantization else None)
    name = kept or request.dtype or model.dtype
    if name.startswith("fp8"):
        name = "fp8"
    return _BYTES.get(name, 2.0)

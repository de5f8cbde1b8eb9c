"""In which dtype a weight is multiplied."""

from __future__ import annotations

from cluster.catalog.model_spec import ModelSpec, WeightFormat


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

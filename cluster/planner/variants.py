"""The same model with weights in another format, to see what a quantized variant would change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.catalog.model_spec import Layer, ModelSpec, Quantization, Split, Tensor, WeightFormat
from cluster.planner.identity_cache import IdentityCache

_LEAST_FEATURES = 256

_cache: IdentityCache[ModelSpec] = IdentityCache(max_entries=64)


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to store weights that engines load."""

    name: str
    method: str
    format: WeightFormat


VARIANTS = (
    Variant("FP8", "fp8", WeightFormat("fp8", 8)),
    Variant("INT4 (AWQ)", "awq", WeightFormat("int4", 4, group_size=128, scale_bytes_per_group=2.5)),
)


FULL_SIZE = Variant("16-bit", "", WeightFormat("bf16", 16))
"""Weights as they were before quantization."""


def stored_as(model: ModelSpec, variant: Variant) -> ModelSpec:
    """Return the model with its layers' matrices in the variant's format; embedding, head and norms stay.

    The same model gives the same object, so that cached figures are found again.
    """
    return _cache.get(model, variant.name, lambda: _stored_as(model, variant))


def _stored_as(model: ModelSpec, variant: Variant) -> ModelSpec:
    known: dict[int, Layer] = {}
    for layer in model.layers:
        known.setdefault(id(layer), _layer_as(layer, variant.format))
    layers = tuple(known[id(layer)] for layer in model.layers)
    saved = sum(_layer_bytes(layer) for layer in model.layers) - sum(_layer_bytes(layer) for layer in layers)
    return replace(
        model,
        name=f"{model.name} {variant.name}",
        layers=layers,
        quantization=Quantization(variant.method, variant.format) if variant.method else None,
        weights_bytes=max(0, model.weights_bytes - saved),
    )


def smaller_variants(model: ModelSpec) -> list[Variant]:
    """Return the variants smaller than the model's current weights."""
    bits = max((tensor.format.bits for layer in model.layers for tensor in layer.tensors), default=16)
    if model.quantization is not None:
        bits = model.quantization.weight_format.bits
    return [variant for variant in VARIANTS if variant.format.bits < bits]


def _layer_as(layer: Layer, weight_format: WeightFormat) -> Layer:
    return replace(layer, tensors=tuple(_tensor_as(tensor, weight_format) for tensor in layer.tensors))


def _tensor_as(tensor: Tensor, weight_format: WeightFormat) -> Tensor:
    small = min(tensor.out_features, tensor.in_features) < _LEAST_FEATURES
    stays = tensor.format.bits >= 16 if weight_format.bits >= 16 else tensor.format.bits <= weight_format.bits
    if small or tensor.split is Split.REPLICATED or stays:
        return tensor
    return replace(tensor, format=weight_format)


def _layer_bytes(layer: Layer) -> int:
    return sum(tensor.size_bytes for tensor in layer.tensors)

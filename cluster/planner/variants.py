"""The same model with smaller weights, to say what a quantised variant would change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.catalog.model_spec import Layer, ModelSpec, Quantization, Split, Tensor, WeightFormat

_LEAST_FEATURES = 256


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


def quantised(model: ModelSpec, variant: Variant) -> ModelSpec:
    """Return the model with its layers' matrices in the variant's format; embedding, head and norms stay."""
    known: dict[int, Layer] = {}
    for layer in model.layers:
        known.setdefault(id(layer), _quantised_layer(layer, variant.format))
    layers = tuple(known[id(layer)] for layer in model.layers)
    saved = sum(_layer_bytes(layer) for layer in model.layers) - sum(_layer_bytes(layer) for layer in layers)
    return replace(
        model,
        name=f"{model.name} {variant.name}",
        layers=layers,
        quantization=Quantization(variant.method, variant.format),
        weights_bytes=max(0, model.weights_bytes - saved),
    )


def smaller_variants(model: ModelSpec) -> list[Variant]:
    """Return the variants that take less room than the model as it is."""
    bits = max((tensor.format.bits for layer in model.layers for tensor in layer.tensors), default=16)
    if model.quantization is not None:
        bits = model.quantization.weight_format.bits
    return [variant for variant in VARIANTS if variant.format.bits < bits]


def _quantised_layer(layer: Layer, weight_format: WeightFormat) -> Layer:
    return replace(layer, tensors=tuple(_quantised_tensor(tensor, weight_format) for tensor in layer.tensors))


def _quantised_tensor(tensor: Tensor, weight_format: WeightFormat) -> Tensor:
    small = min(tensor.out_features, tensor.in_features) < _LEAST_FEATURES
    if small or tensor.split is Split.REPLICATED or tensor.format.bits <= weight_format.bits:
        return tensor
    return replace(tensor, format=weight_format)


def _layer_bytes(layer: Layer) -> int:
    return sum(tensor.size_bytes for tensor in layer.tensors)

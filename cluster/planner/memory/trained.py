"""A model as it is trained: every parameter in 16 bits, whatever format its checkpoint is stored in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.catalog.model_spec import Layer, ModelSpec, Tensor, WeightFormat
from cluster.planner.identity_cache import IdentityCache

PARAMETER_BYTES = 2

_FORMAT = WeightFormat("bf16", 8 * PARAMETER_BYTES)
_cache: IdentityCache[ModelSpec] = IdentityCache(max_entries=64)


def in_16_bits(model: ModelSpec) -> ModelSpec:
    """Return the model with every tensor in 16 bits; the same object for the same model."""
    return _cache.get(model, None, lambda: _in_16_bits(model))


def _in_16_bits(model: ModelSpec) -> ModelSpec:
    if model.quantization is None and all(tensor.format.bits == _FORMAT.bits for tensor in _tensors(model)):
        return model
    known: dict[int, Layer] = {}
    for layer in model.layers:
        known.setdefault(id(layer), replace(layer, tensors=_all_wide(layer.tensors)))
    vision = model.vision
    wide = replace(
        model,
        layers=tuple(known[id(layer)] for layer in model.layers),
        embedding=_wide(model.embedding),
        head=_wide(model.head) if model.head else None,
        final=_all_wide(model.final),
        front=_all_wide(model.front),
        vision=replace(vision, tensors=_all_wide(vision.tensors)) if vision else None,
        quantization=None,
    )
    return replace(wide, weights_bytes=sum(tensor.size_bytes for tensor in _tensors(wide)))


def _tensors(model: ModelSpec) -> Iterator[Tensor]:
    for layer in model.layers:
        yield from layer.tensors
    yield model.embedding
    yield from (model.head,) if model.head else ()
    yield from (*model.final, *model.front, *(model.vision.tensors if model.vision else ()))


def _all_wide(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(_wide(tensor) for tensor in tensors)


def _wide(tensor: Tensor) -> Tensor:
    return replace(tensor, format=_FORMAT)

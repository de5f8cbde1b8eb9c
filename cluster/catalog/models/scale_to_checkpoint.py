"""Scale a model's tensors down to the bytes that its checkpoint holds, splits and names kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cluster.catalog.hf_config.totals import outer_tensors, size_bytes
from cluster.catalog.model_spec import Layer, ModelSpec, Tensor
from cluster.catalog.models.stored_weights import Stored


def shrunk(model: ModelSpec, stored: Stored) -> ModelSpec:
    """Return `model` with tensors that sum to `stored`, and parameters in the same proportion.

    Each layer takes its own bytes if `stored` has them per layer; tensors outside the layers get the rest.
    """
    planned = [size_bytes(layer.tensors) for layer in model.layers]
    whole = max(1, sum(planned) + size_bytes(outer_tensors(model)))
    overall = min(1.0, stored.size_bytes / whole)
    shares, outer = [overall] * len(planned), overall
    if stored.layer_bytes:
        shares = [held / max(1, size) for held, size in zip(stored.layer_bytes, planned, strict=True)]
        outer = (stored.size_bytes - sum(stored.layer_bytes)) / max(1, size_bytes(outer_tensors(model)))
    cache: dict[tuple[Layer, float], Layer] = {}
    layers = tuple(
        cache.setdefault((layer, share), replace(layer, tensors=_scaled(layer.tensors, share)))
        for layer, share in zip(model.layers, shares, strict=True)
    )
    return replace(
        _with_outer(model, outer),
        layers=layers,
        parameters=round(model.parameters * overall),
        active_parameters=round(model.active_parameters * overall),
    )


def _with_outer(model: ModelSpec, share: float) -> ModelSpec:
    tower = model.vision
    return replace(
        model,
        embedding=_one(model.embedding, share),
        head=None if model.head is None else _one(model.head, share),
        front=_scaled(model.front, share),
        final=_scaled(model.final, share),
        vision=None if tower is None else replace(tower, tensors=_scaled(tower.tensors, share)),
    )


def _scaled(tensors: Iterable[Tensor], share: float) -> tuple[Tensor, ...]:
    return tuple(_one(tensor, share) for tensor in tensors)


def _one(tensor: Tensor, share: float) -> Tensor:
    """Shrink the bytes of an element: the shape stays, so that every split stays as it was."""
    stored = tensor.format
    narrower = replace(
        stored, bits=stored.bits * share, scale_bytes_per_group=stored.scale_bytes_per_group * share
    )
    return replace(tensor, format=narrower)

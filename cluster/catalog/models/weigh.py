"""Put the real weight of a checkpoint into a ModelSpec that was read from its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config.formats import plain_dtype
from cluster.catalog.model_spec import Layer, ModelSpec, Split, Tensor, WeightFormat
from cluster.catalog.models.checkpoint import Stored, stored_weights
from cluster.units import format_bytes

# Below this share a difference is norms, scales and padding that no plan turns on.
_NEGLIGIBLE = 0.002
_BYTES = WeightFormat("bytes", 8)


def weigh_folder(model: ModelSpec, folder: Path, config: Mapping[str, Any]) -> ModelSpec:
    """Return `model` with the bytes of the checkpoint in `folder`; unchanged where it holds none."""
    stored = stored_weights(folder, model, _stated_dtype(config))
    return model if stored is None else with_stored(model, stored)


def _stated_dtype(config: Mapping[str, Any]) -> str | None:
    name = config.get("dtype") or config.get("torch_dtype")
    return plain_dtype(name) if isinstance(name, str) else None


def with_stored(model: ModelSpec, stored: Stored) -> ModelSpec:
    """Return `model` weighing what was stored.

    Bytes that the architecture does not explain are spread over the layers, so that every part of a plan
    counts them; fewer bytes than it explains only change the total and are told.
    """
    excess = stored.size_bytes - model.weights_bytes
    weighed = replace(model, weights_bytes=stored.size_bytes, weights_source=stored.source)
    if abs(excess) <= _NEGLIGIBLE * model.weights_bytes:
        return weighed
    note = (
        f"The checkpoint holds {format_bytes(stored.size_bytes, 2)}, "
        f"its architecture explains {format_bytes(model.weights_bytes, 2)}"
    )
    layers = _spread(model.layers, excess) if excess > 0 else model.layers
    return replace(weighed, layers=layers, notes=(*model.notes, note))


def _spread(layers: tuple[Layer, ...], excess_bytes: int) -> tuple[Layer, ...]:
    extra = Tensor("unexplained", max(1, excess_bytes // len(layers)), 1, Split.COLUMN, _BYTES)
    heavier = {layer: replace(layer, tensors=(*layer.tensors, extra)) for layer in set(layers)}
    return tuple(heavier[layer] for layer in layers)

"""Put the actual size of a checkpoint into the ModelSpec that was read from its config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.catalog.hf_config.quantization.formats import plain_dtype
from cluster.catalog.model_spec import Layer, ModelSpec, Split, Tensor, WeightFormat
from cluster.catalog.models.contradictions import refuse_contradictions
from cluster.catalog.models.scale_to_checkpoint import shrunk
from cluster.catalog.models.stored_weights import Stored, stored_weights
from cluster.units import format_bytes

# A smaller difference is norms, scales and padding: it does not change a plan.
_NEGLIGIBLE = 0.002
# If a checkpoint leaves out no more than this, the rest of the description is still trusted.
_TOLERABLE = 0.02
_BYTES = WeightFormat("bytes", 8)


def weigh_folder(model: ModelSpec, folder: Path, config: Mapping[str, Any]) -> ModelSpec:
    """Return `model` with the size of the checkpoint in `folder`; unchanged if there is none.

    Raises BadInput if the weights are incomplete, damaged, or not the ones that the config describes.
    """
    stored = stored_weights(folder, model, _stated_dtype(config))
    if stored is None:
        return model
    refuse_contradictions(folder, model, stored)
    return with_stored(replace(model, notes=(*model.notes, *stored.notes)), stored)


def _stated_dtype(config: Mapping[str, Any]) -> str | None:
    name = config.get("dtype") or config.get("torch_dtype")
    return plain_dtype(name) if isinstance(name, str) else None


def with_stored(model: ModelSpec, stored: Stored) -> ModelSpec:
    """Return `model` with the stored size, in total and in every part that a plan counts.

    Bytes that the architecture does not account for are spread over the layers. If it accounts for more than
    is stored, its tensors shrink to the stored bytes, layer by layer if the headers give those; beyond
    a small difference the architecture then counts as unknown.
    """
    excess = stored.size_bytes - model.weights_bytes
    weighed = replace(model, weights_bytes=stored.size_bytes, weights_source=stored.source)
    if abs(excess) <= _NEGLIGIBLE * model.weights_bytes:
        return weighed
    note = (
        f"The checkpoint has {format_bytes(stored.size_bytes, 2)} of weights; "
        f"its architecture accounts for {format_bytes(model.weights_bytes, 2)}"
    )
    if excess > 0:
        return replace(weighed, layers=_spread(model.layers, excess), notes=(*model.notes, note))
    known = model.known_architecture and -excess <= _TOLERABLE * model.weights_bytes
    note += ": planned with the checkpoint's sizes" + ("" if known else ", expect a wider error")
    return replace(shrunk(weighed, stored), known_architecture=known, notes=(*model.notes, note))


def _spread(layers: tuple[Layer, ...], excess_bytes: int) -> tuple[Layer, ...]:
    extra = Tensor("unexplained", max(1, excess_bytes // len(layers)), 1, Split.COLUMN, _BYTES)
    heavier = {layer: replace(layer, tensors=(*layer.tensors, extra)) for layer in set(layers)}
    return tuple(heavier[layer] for layer in layers)

"""Sums over a model's tensors: parameters, parameters that one token uses, bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from cluster.catalog.model_spec import ModelSpec, Tensor


def parameters(tensors: Iterable[Tensor]) -> int:
    """Return all parameters of `tensors`."""
    return sum(tensor.parameters for tensor in tensors)


def active_parameters(tensors: Iterable[Tensor]) -> int:
    """Return the parameters one token uses: of experts only those it is routed to."""
    return round(sum(t.parameters * (t.active_copies / t.copies if t.is_expert else 1) for t in tensors))


def size_bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of `tensors` as stored."""
    return sum(tensor.size_bytes for tensor in tensors)


def outer_tensors(model: ModelSpec) -> tuple[Tensor, ...]:
    """Return the tensors outside the decoder's layers: tables, head, final norm, vision tower."""
    head = () if model.head is None else (model.head,)
    tower = () if model.vision is None else model.vision.tensors
    return (model.embedding, *model.front, *head, *model.final, *tower)


def with_totals(model: ModelSpec) -> ModelSpec:
    """Return `model` with its sums filled in."""
    return replace(
        model,
        parameters=_total(model, parameters),
        active_parameters=_total(model, active_parameters),
        weights_bytes=_total(model, size_bytes),
    )


def _total(model: ModelSpec, measure: Callable[[Iterable[Tensor]], int]) -> int:
    layers = Counter(model.layers).items()
    return measure(outer_tensors(model)) + sum(measure(layer.tensors) * count for layer, count in layers)

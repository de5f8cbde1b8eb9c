"""Sums over a model's tensors: parameters, parameters a token uses, bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cluster.catalog.model_spec import Layer, ModelSpec, Tensor


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
    return (model.embedding, *head, *model.final, *tower)


def count_layers(layers: Iterable[Layer]) -> Counter[Layer]:
    """Return each distinct layer with how often it occurs."""
    return Counter(layers)

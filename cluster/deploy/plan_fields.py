"""The planner's own types as fields of an order and of a status, which travel as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WrapValidator

from cluster.errors import ClusterviewError
from cluster.planner.layout import Layout
from cluster.planner.layout_json import layout_to_json
from cluster.planner.result import Band

_BAND_FIELDS = ("value", "low", "high")


def _checked(value: Any, read: Callable[[Any], Layout]) -> Layout:
    """Read a layout; an impossible degree is an error in the JSON, which pydantic reports with its place."""
    if isinstance(value, dict):
        # What follows from the degrees is not read back.
        value = {name: degree for name, degree in value.items() if name != "gpus"}
    try:
        return read(value)
    except ClusterviewError as error:
        raise ValueError(error.message) from None


def _named(value: Any) -> Any:
    """Give the three figures of a band their names."""
    is_triple = isinstance(value, list | tuple) and len(value) == len(_BAND_FIELDS)
    return dict(zip(_BAND_FIELDS, value, strict=True)) if is_triple else value


LayoutField = Annotated[Layout, WrapValidator(_checked), PlainSerializer(layout_to_json)]
"""A layout; in JSON the same object as in a plan."""
BandField = Annotated[
    Band, BeforeValidator(_named), PlainSerializer(lambda band: (band.value, band.low, band.high))
]
"""A prediction with its range; in JSON [value, low, high]."""

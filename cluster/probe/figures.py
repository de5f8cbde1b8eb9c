"""Reads a list of figures of one GPU, each with its value or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.probe.nvml import Device
from cluster.probe.query import PLACEHOLDER, Answer, NvmlQuery, is_placeholder, reason_for

IMPOSSIBLE = "the driver reports an impossible value"
# More than one call's worth of fields is asked in several.
_FIELDS_AT_ONCE = 32
_DOUBLE, _UNSIGNED, _LONG, _UNSIGNED_LONG_LONG, _SIGNED_LONG_LONG, _SIGNED, _SHORT = range(7)
_MEMBERS = {
    _DOUBLE: "dVal",
    _UNSIGNED: "uiVal",
    _LONG: "ulVal",
    _UNSIGNED_LONG_LONG: "ullVal",
    _SIGNED_LONG_LONG: "sllVal",
    _SIGNED: "siVal",
    _SHORT: "usVal",
}

Field = int | tuple[int, int]
"""NVML's number of a field, or that number and an NVLink."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A field of one of our types, and the NVML call that gives it."""

    field: str
    function: str
    args: tuple[int, ...] = ()
    convert: Callable[[Any], Any] = float
    """From NVML's value to ours; ValueError with the reason where it stands for none."""


class Figures:
    """Collects figures under their field names: `values`, and `absent` with the reasons."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.absent: dict[str, str] = {}

    def put(self, field: str, answer: Answer, convert: Callable[[Any], Any] = float) -> None:
        """Keep an answer under its field, converted."""
        if answer.value is None:
            self.absent[field] = answer.reason or reason_for(0)
            return
        try:
            self.values[field] = convert(answer.value)
        except ValueError as error:
            self.absent[field] = str(error)

    def ask(self, query: NvmlQuery, device: Device, figures: Iterable[Figure]) -> None:
        """Ask each figure of the device."""
        index, handle = device.asked_index, device.handle
        for figure in figures:
            self.put(figure.field, query.ask(index, figure.function, handle, *figure.args), figure.convert)


def read_fields(query: NvmlQuery, device: Device, fields: Sequence[Field]) -> list[Answer]:
    """Ask fields by their number, many in one call; one answer each, in their order."""
    answers: list[Answer] = []
    for start in range(0, len(fields), _FIELDS_AT_ONCE):
        some = tuple(fields[start : start + _FIELDS_AT_ONCE])
        answer = query.ask(device.asked_index, "nvmlDeviceGetFieldValues", device.handle, some)
        if answer.value is None:
            answers += [answer] * len(some)
        else:
            answers += [_field(value) for value in answer.value]
    return answers


def _field(value: Any) -> Answer:
    if value.nvmlReturn != 0:
        return Answer(None, reason_for(int(value.nvmlReturn)))
    member = _MEMBERS.get(int(value.valueType))
    if member is None:
        return Answer(None, IMPOSSIBLE)
    number = getattr(value.value, member)
    return Answer(None, PLACEHOLDER) if is_placeholder(number) else Answer(number)


def milli(value: int) -> float:
    """Convert milliwatts to watts, millijoules to joules."""
    return value / 1000.0

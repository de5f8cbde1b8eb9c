"""Figures of GPUs and nodes as rows of text: a value, or the reason why there is none. Pure.

A row names a field by its path, such as 'reading.power_w' or 'detail.ecc.volatile_corrected'. The reason for
a missing one is what the reader gave, else that its whole lane is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.units import format_bytes

NOT_REPORTED = "not reported"
Format = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure for people; `value` is None where there is none, and `reason` says why."""

    name: str
    value: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FigureGroup:
    """Figures under a heading."""

    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of figures: where its value is, and how it is written."""

    name: str
    path: str
    format: Format
    of: str = ""
    """Path of the most that it can be, written after it: '345 of 1,980 MHz'."""
    why_not: str = NOT_REPORTED
    """What it means that there is none, where no reader gave a reason."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """The sources of figures by name: 'reading', 'detail', 'facts' ...; None where a lane has nothing."""

    sources: Mapping[str, object | None]
    missing: Mapping[str, str] = field(default_factory=dict)
    """Why a lane has nothing."""

    def find(self, path: str) -> tuple[Any, str]:
        """Return the value at a path, or None and the reason."""
        lane, _, inner = path.partition(".")
        source: Any = self.sources.get(lane)
        if source is None:
            return None, self.missing.get(lane, NOT_REPORTED)
        value = source
        for name in inner.split("."):
            value = getattr(value, name)
        absent: Mapping[str, str] = getattr(source, "absent", {})
        # A whole group may be absent for one reason.
        reason = absent.get(inner) or absent.get(inner.partition(".")[0]) or NOT_REPORTED
        return (value, "") if value is not None else (None, reason)


def figure(row: Row, lanes: Lanes) -> Figure:
    """Look a row's figure up."""
    value, reason = lanes.find(row.path)
    if value is None:
        return Figure(row.name, None, row.why_not if reason == NOT_REPORTED else reason)
    text = row.format(value)
    if row.of:
        most, why_not = lanes.find(row.of)
        limit = f" of {row.format(most)}" if most is not None else f" (maximum n/a: {why_not})"
        text += limit
    return Figure(row.name, text)


def groups(tables: Sequence[tuple[str, Sequence[Row]]], lanes: Lanes) -> tuple[FigureGroup, ...]:
    """Look all rows of some tables up."""
    return tuple(FigureGroup(title, tuple(figure(row, lanes) for row in rows)) for title, rows in tables)


def unit(name: str, decimals: int = 0) -> Format:
    """Return a format for numbers with a unit: '345 MHz'."""
    gap = "" if name in ("%", "°C") else " "
    return lambda value: f"{value:,.{decimals}f}{gap}{name}"


def count(value: int) -> str:
    """Format a plain count."""
    return f"{value:,}"


def size(value: float) -> str:
    """Format a size in bytes."""
    return format_bytes(value)


def rate(value: float) -> str:
    """Format bytes per second, in the decimal units in which links are sold."""
    for scale, name in ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "KB/s")):
        if value >= scale:
            return f"{value / scale:,.1f} {name}"
    return f"{value:,.0f} B/s"


def yes_no(value: bool) -> str:
    """Format a fact that holds or not."""
    return "yes" if value else "no"


def names(value: Sequence[str]) -> str:
    """Format a list of names; an empty one is 'none'."""
    return ", ".join(value) or "none"


def words(value: Sequence[str]) -> str:
    """Format a list of codes such as 'hw_thermal' as words."""
    return names([code.replace("_", " ") for code in value])

"""Predicted and measured figures as text, the same on the screen and in `status`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cluster.deploy.comparison import Comparison, Unit
from cluster.units import NOT_AVAILABLE, format_bytes, format_duration, in_tenths

OUTSIDE = "outside the range"


@dataclass(frozen=True, slots=True)
class ComparisonCells:
    """One row of the table."""

    title: str
    predicted: str
    """With the range, where the prediction has one: '1,930 tok/s (1,505–2,393)'."""
    measured: str
    error: str
    """'+3.2%'; 'n/a' where there is none."""
    is_outside: bool
    why: str
    """Why it has no error; empty if it has one."""

    @property
    def is_measured(self) -> bool:
        return self.measured != NOT_AVAILABLE


def cells_of(row: Comparison) -> ComparisonCells:
    """Return a figure as text."""
    return ComparisonCells(
        title=row.title,
        predicted=figure(row.predicted, row.unit) + _band(row),
        measured=figure(row.measured, row.unit),
        error=NOT_AVAILABLE if row.error is None else signed_percent(row.error),
        is_outside=row.is_outside,
        why=why_none(row),
    )


def missing_lines(rows: Iterable[ComparisonCells]) -> Iterator[str]:
    """Yield one line for each reason why figures have no error: 'TTFT, TPOT: no user traffic now'."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.why:
            what = "not compared" if row.is_measured else "not measured"
            by_reason.setdefault((what, row.why), []).append(row.title)
    for (what, why), titles in by_reason.items():
        yield f"{what}: {', '.join(titles)}: {why}"


def why_none(row: Comparison) -> str:
    """Return why a figure has no error: not measured, not predicted, or not comparable; '' if it has one."""
    if row.measured is None:
        return row.absent
    if row.predicted is None:
        return "not predicted"
    return row.incomparable


def figure(value: float | None, unit: Unit) -> str:
    """Format a figure with its unit; None is 'n/a'."""
    if value is None:
        return NOT_AVAILABLE
    if unit == "bytes":
        return format_bytes(value)
    if unit == "seconds":
        return format_duration(value)
    if unit == "tokens/s":
        return f"{_rate(value)} tok/s"
    return f"{value:,.0f}" if unit == "tokens" else in_tenths(value)


def signed_percent(fraction: float) -> str:
    """Format an error as '+3.2%' or '-12%': one decimal below ten percent."""
    percent = 100 * fraction
    decimals = 1 if abs(percent) < 9.95 else 0
    return f"{percent:+,.{decimals}f}%"


def _band(row: Comparison) -> str:
    if row.predicted is None or row.low is None or row.high is None:
        return ""
    low, high = (_in_unit_of(row.predicted, end, row.unit) for end in (row.low, row.high))
    return f" ({low}–{high})"


def _rate(tokens_per_s: float) -> str:
    return f"{tokens_per_s:,.0f}" if tokens_per_s >= 100 else f"{tokens_per_s:.3g}"


def _in_unit_of(of: float, value: float, unit: Unit) -> str:
    """Format an end of a range in the unit that the figure itself is written in, without that unit."""
    if unit != "seconds":
        return figure(value, unit).removesuffix(" tok/s")
    scale = {"µs": 1e6, "ms": 1e3, "s": 1.0, "min": 1 / 60, "h": 1 / 3600}[format_duration(of).split(" ")[-1]]
    scaled = value * scale
    return f"{scaled:,.0f}" if scaled >= 100 else f"{scaled:.3g}"

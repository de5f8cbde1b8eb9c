"""Numbers and states as text. Pure; a missing reading is 'n/a', never 0."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from cluster.planner.layout import Layout
from cluster.planner.result import Band, Candidate
from cluster.units import GIB, NOT_AVAILABLE, format_duration

_LEAST_CELL = 0.25


def fit(text: str, width: int, align: str = "left") -> str:
    """Make a text exactly `width` cells wide; a cut is marked by an ellipsis."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - length)
    return padding + text if align == "right" else text + padding


def gib(size_bytes: float | None, decimals: int = 1) -> str:
    """Format a size in GiB without the unit."""
    return NOT_AVAILABLE if size_bytes is None else f"{size_bytes / GIB:,.{decimals}f}"


def rate(tokens_per_s: float) -> str:
    """Format a token rate with a sensible number of digits."""
    if tokens_per_s >= 100:
        return f"{tokens_per_s:,.0f}"
    return f"{tokens_per_s:.3g}"


def throughput_band(band: Band, width: int = 0) -> str:
    """Format a predicted rate with its range: '1,930 tok/s (1,500–2,400)', the figure right-aligned."""
    return f"{rate(band.value):>{width}} tok/s ({rate(band.low)}–{rate(band.high)})"


def duration_band(band: Band) -> str:
    """Format a predicted time with its range: '28 ms (22–36)'; the range takes the unit of the value."""
    value = format_duration(band.value)
    unit = value.split(" ")[-1]
    scale = {"µs": 1e6, "ms": 1e3, "s": 1.0, "min": 1 / 60, "h": 1 / 3600}.get(unit, 1.0)
    return f"{value} ({_figure(band.low * scale)}–{_figure(band.high * scale)})"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def percent(value: float | None) -> str:
    """Format a percentage."""
    return NOT_AVAILABLE if value is None else f"{value:.0f}%"


def temperature(value_c: float | None) -> str:
    """Format a temperature in degrees Celsius."""
    return NOT_AVAILABLE if value_c is None else f"{value_c:.0f}°C"


def power(value_w: float | None) -> str:
    """Format a power draw in watts."""
    return NOT_AVAILABLE if value_w is None else f"{value_w:,.0f} W"


def age(age_s: float) -> str:
    """Format an age roughly, in at most six cells."""
    seconds = max(0.0, age_s)
    if seconds < 1.5:
        return "now"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def role_name(replica: int, stage: int, rank: int, layout: Layout | None) -> str:
    """Name a GPU's role in a layout: R0, R0·T2, R0·S1·T2 or R0·A3 (replica, stage, attention rank, tensor
    rank).

    Without a layout, which a deployment of an older version does not report, every number is given: R0·S0·T2.
    """
    parts = [f"R{replica}"]
    if layout is None:
        return "·".join([*parts, f"S{stage}", f"T{rank}"])
    if layout.pp > 1:
        parts.append(f"S{stage}")
    if layout.attention_ranks > 1:
        parts.append(f"A{rank // layout.tp}")
    if layout.tp > 1:
        parts.append(f"T{rank % layout.tp}")
    return "·".join(parts)


def span(first: int, last: int, size: int) -> str:
    """Format a range out of `size` places: '2048–4095'; thousands are set apart where five digits occur."""
    return f"{first}–{last}" if size < 10_000 else f"{first:,}–{last:,}"


def memory_of(candidate: Candidate) -> str:
    """Format the tightest rank's memory and its budget: '67.1 of 71.3 GiB'."""
    memory = candidate.memory_per_gpu
    if memory is None:
        return NOT_AVAILABLE
    return f"{gib(memory.total_bytes)} of {gib(memory.budget_bytes)} GiB"


def bar_cells(total: int | None, used: int | None, planned: int, width: int) -> tuple[int, int, int]:
    """Divide `width` cells into used, planned and free; a part of a quarter cell or more shows."""
    if not total or width <= 0:
        return 0, 0, max(0, width)
    used_bytes = min(max(used or 0, 0), total)
    planned_bytes = min(max(planned, 0), total - used_bytes)
    used_cells = _cells(used_bytes, total, width)
    both_cells = max(used_cells, _cells(used_bytes + planned_bytes, total, width))
    if planned_bytes / total * width >= _LEAST_CELL and both_cells == used_cells:
        if both_cells < width:
            both_cells += 1
        elif used_cells > 1:
            used_cells -= 1
    return used_cells, both_cells - used_cells, width - both_cells


def _cells(part: int, total: int, width: int) -> int:
    cells = part / total * width
    return 0 if cells < _LEAST_CELL else max(1, round(cells))

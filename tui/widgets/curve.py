"""A figure over time as a curve of block characters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text

from tui.glyphs import SPARK
from tui.history import LENGTH, Curve
from tui.styles import Styles

HEIGHT = 3


@dataclass(frozen=True, slots=True)
class Scale:
    """What a curve is of: its name, the value at its top, and how a value is written."""

    name: str
    top: float
    format: Callable[[float], str]
    top_name: str = ""
    """What the top is, where it is not plain: 'limit'."""


def curve_lines(values: Curve, top: float, width: int, height: int = HEIGHT) -> list[str]:
    """Draw the last values, the newest at the right; a missing one is a gap. The highest line comes first."""
    steps = len(SPARK) - 1
    lines = []
    for level in reversed(range(height)):
        marks = [_mark(value, top, level, height, steps) for value in values[-width:]]
        lines.append(" " * (width - len(marks)) + "".join(marks))
    return lines


def squeezed(values: Curve, length: int, width: int) -> Curve:
    """Return means of neighboring values, so that `length` of them take no more than `width` cells."""
    each = -(-length // max(1, width))
    # From the newest on, so that it is never alone in a group that grows.
    groups = [values[max(0, end - each) : end] for end in range(len(values), 0, -each)]
    return tuple(_mean(group) for group in reversed(groups))


def _mean(values: Curve) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _mark(value: float | None, top: float, level: int, height: int, steps: int) -> str:
    if value is None:
        return " "
    share = max(0.0, min(1.0, value / top)) if top > 0 else 0.0
    filled = round(share * steps * height) - level * steps
    # A value of 0 still shows that there was a reading.
    return SPARK[max(1 if level == 0 else 0, min(steps, filled))]


def curve_text(values: Curve, scale: Scale, width: int, styles: Styles) -> Text:
    """Draw a curve under a line with its name, its latest value and its range."""
    known = [value for value in values if value is not None]
    text = Text(no_wrap=True, end="").append(scale.name, styles.strong)
    if not known:
        return text.append("  no reading yet\n", styles.muted)
    latest = values[-1]
    now = scale.format(latest) if latest is not None else "n/a"
    text.append(f"  {now}", styles.plain)
    text.append(f"  {scale.format(min(known))}–{scale.format(max(known))}", styles.muted)
    top = f"{scale.top_name} " if scale.top_name else ""
    text.append(f"  top {top}{scale.format(scale.top)}\n", styles.faint)
    for line in curve_lines(squeezed(values, LENGTH, width), scale.top, width):
        text.append(f"{line}\n", styles.used)
    return text

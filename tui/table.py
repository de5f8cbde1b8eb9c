"""Tables as data: columns, how wide they are on a screen, and rows in order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.style import Style
from rich.text import Text

from tui.format import fit
from tui.styles import Styles

Row = TypeVar("Row")
SortKey = str | float | None
GAP = 2
"""Empty cells between columns."""


def _plain(_: object, styles: Styles) -> Style:
    return styles.plain


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column of a table."""

    name: str
    cells: int
    text: Callable[[Row], str]
    key: Callable[[Row], SortKey]
    """What it is sorted by; rows without a value come last, whichever the direction."""
    right: bool = False
    """Aligned to the right, as figures are; sorted with the largest first."""
    takes_rest: bool = False
    """Takes what is left of the line, `cells` at least."""
    from_cells: int = 0
    """Shown on screens of at least this width."""
    style: Callable[[Row, Styles], Style] = _plain


@dataclass(frozen=True, slots=True)
class Fitted(Generic[Row]):
    """A column that is on screen, and where."""

    column: Column[Row]
    start: int
    cells: int


def fitted(columns: Sequence[Column[Row]], width: int) -> list[Fitted[Row]]:
    """Divide a line among the columns that a screen of this width shows."""
    shown = [column for column in columns if width >= column.from_cells]
    rest = width - sum(column.cells for column in shown) - GAP * (len(shown) - 1)
    result, start = [], 0
    for column in shown:
        cells = max(column.cells, column.cells + rest) if column.takes_rest else column.cells
        result.append(Fitted(column, start, cells))
        start += cells + GAP
    return result


def heading(columns: Sequence[Fitted[Row]], sorted_by: str, down: bool, styles: Styles) -> Text:
    """Draw the columns' names; an arrow stands beside the one that is sorted by."""
    line = Text(no_wrap=True, end="")
    for number, item in enumerate(columns):
        name, column = item.column.name, item.column
        is_key = name == sorted_by
        if is_key:
            name += "↓" if down else "↑"
        line.append(" " * GAP if number else "")
        aligned = fit(name, item.cells, "right" if column.right else "left")
        line.append(aligned, styles.accent if is_key else styles.muted)
    return line


def draw_row(row: Row, columns: Sequence[Fitted[Row]], styles: Styles) -> Text:
    """Draw one row."""
    line = Text(no_wrap=True, end="")
    for number, item in enumerate(columns):
        column = item.column
        line.append(" " * GAP if number else "")
        text = fit(column.text(row), item.cells, "right" if column.right else "left")
        line.append(text, column.style(row, styles))
    return line


def in_order(rows: Iterable[Row], key: Callable[[Row], SortKey], down: bool) -> list[Row]:
    """Sort rows; equal ones keep their order, and rows without a value come last."""
    known, unknown = [], []
    for row in rows:
        value = key(row)
        if value is None:
            unknown.append(row)
        else:
            known.append((value, row))
    known.sort(key=lambda pair: pair[0], reverse=down)
    return [*(row for _, row in known), *unknown]

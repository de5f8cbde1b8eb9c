"""Groups of figures as a table of one or two columns, and other parts of the pages of GPUs and nodes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster.units import NOT_AVAILABLE
from tui.figures import FigureGroup
from tui.health_marks import Mark
from tui.styles import Styles

TWO_COLUMNS = 104
"""From this width on, groups stand in two columns."""


def heading(title: str, styles: Styles, remark: str = "") -> Text:
    """Draw the heading of a part, with an empty line above."""
    return Text(f"\n{title}", styles.title).append(f"  {remark}" if remark else "", styles.muted)


def figure_table(groups: Sequence[FigureGroup], width: int, styles: Styles) -> RenderableType:
    """Draw groups of figures; a missing figure has its reason."""
    drawn = [_group(group, styles) for group in groups]
    if width < TWO_COLUMNS or len(groups) < 2:
        return Group(*drawn)
    return side_by_side(_balanced(groups, drawn))


def side_by_side(columns: Sequence[Sequence[RenderableType]]) -> Table:
    """Stand columns of parts side by side."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for _ in columns:
        table.add_column(ratio=1)
    table.add_row(*(Group(*parts) for parts in columns))
    return table


def _balanced(groups: Sequence[FigureGroup], drawn: Sequence[RenderableType]) -> list[list[RenderableType]]:
    """Divide groups into two columns of about equal height, in order."""
    total = sum(len(group.figures) + 2 for group in groups)
    first: list[RenderableType] = []
    lines = 0
    for group, part in zip(groups, drawn, strict=True):
        if first and lines + (len(group.figures) + 2) / 2 > total / 2:
            break
        first.append(part)
        lines += len(group.figures) + 2
    return [first, list(drawn[len(first) :])]


def _group(group: FigureGroup, styles: Styles) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for item in group.figures:
        value = (
            Text(item.value, styles.plain) if item.value is not None else Text(NOT_AVAILABLE, styles.muted)
        )
        if item.value is None:
            value.append(f"  {item.reason}", styles.faint)
        table.add_row(Text(item.name, styles.muted), value)
    return Group(heading(group.title, styles), table)


def rows_table(
    titles: Sequence[str], rows: Sequence[Sequence[str | Text]], styles: Styles, numbers: Sequence[int] = ()
) -> Table:
    """Draw a table; the columns in `numbers` are aligned to the right, the last one may wrap."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for position, title in enumerate(titles):
        is_last = position == len(titles) - 1
        table.add_column(
            Text(title, styles.muted),
            justify="right" if position in numbers else "left",
            no_wrap=not is_last,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell, styles.plain) for cell in row))
    return table


def rows_grid(rows: Sequence[Sequence[str | Text]], styles: Styles) -> Table:
    """Draw rows without titles; the last column may wrap."""
    table = rows_table([""] * len(rows[0]), rows, styles)
    table.show_header = False
    return table


def mark_text(mark: Mark, styles: Styles) -> Text:
    """Draw a verdict as a sign and words: '▲ degraded  hot: 91 °C', '● healthy'."""
    sign = mark.sign or "●"
    text = Text(f"{sign} {mark.state}", styles.of_mark(mark.state))
    return text.append(f"  {mark.text}" if mark.text else "", styles.plain)

"""Data parallel, tensor parallel and both side by side, for this model on this cluster."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.widget import Widget

from cluster.planner.result import Plan
from tui.styles import Styles, styles_of


class Comparison(Widget):
    """The table of the three strategies; the column of the recommended layout is in full color."""

    DEFAULT_CSS = """
    Comparison { height: auto; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Plan | None = None

    def show(self, plan: Plan | None) -> None:
        """Show a plan's table."""
        self._plan = plan
        self.refresh(layout=True)

    def render(self) -> Table | Text:
        styles = styles_of(self)
        if self._plan is None or not self._plan.comparison:
            return Text("The comparison appears with the first plan.", styles.muted)
        return comparison_table(self._plan, styles)


def comparison_table(plan: Plan, styles: Styles) -> Table:
    """Build the table; cells are data and stay plain text."""
    best = plan.recommended.layout if plan.recommended else None
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True, show_header=True)
    names = {name for column in plan.comparison for name, _ in column.rows}
    table.add_column(Text(""), min_width=max(map(len, names), default=0), no_wrap=True)
    for column in plan.comparison:
        chosen = best is not None and column.layout == best
        label = f"{column.strategy}\n{column.layout.label}" if column.layout else column.strategy
        table.add_column(Text(label, styles.title if chosen else styles.strong), ratio=4)
    rows: dict[str, list[str]] = {}
    for position, column in enumerate(plan.comparison):
        for name, cell in column.rows:
            rows.setdefault(name, [""] * len(plan.comparison))[position] = cell
    for name, cells in rows.items():
        table.add_row(Text(name, styles.muted), *(Text(cell, styles.plain) for cell in cells))
    return table

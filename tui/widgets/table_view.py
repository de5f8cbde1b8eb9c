"""A table of which only the visible rows are drawn, with a cursor that stays on its row when others move."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text
from textual import events
from textual.message import Message

from tui.styles import Styles
from tui.table import Column, draw_row, fitted, heading
from tui.widgets.line_view import LineView
from tui.widgets.text_panel import TextPanel

KeyOf = Callable[[Any], Hashable]


class TableHead(TextPanel):
    """The names of the columns; a click on one sorts by it."""

    DEFAULT_CSS = "TableHead { height: 1; }"

    @dataclass
    class Clicked(Message):
        """The name of a column was clicked."""

        name: str

    def __init__(self) -> None:
        super().__init__()
        self._columns: Sequence[Column[Any]] = ()
        self._sorted: tuple[str, bool] = ("", False)

    def show(self, columns: Sequence[Column[Any]], sorted_by: str, down: bool) -> None:
        """Show other columns, or another order."""
        self._columns, self._sorted = columns, (sorted_by, down)
        self.refresh()

    def draw(self, styles: Styles) -> Text:
        return heading(fitted(self._columns, self.size.width), *self._sorted, styles)

    def on_click(self, event: events.Click) -> None:
        for item in fitted(self._columns, self.size.width):
            if item.start <= event.x < item.start + item.cells:
                self.post_message(self.Clicked(item.column.name))


class TableView(LineView):
    """The rows. Rows are told apart by `key_of`, so that the cursor stays where the user put it."""

    @dataclass
    class Moved(Message):
        """The cursor is on another row."""

    @dataclass
    class Opened(Message):
        """A row was clicked twice."""

    def __init__(self, key_of: KeyOf, id: str | None = None) -> None:
        super().__init__(id=id)
        self._key_of = key_of
        self._columns: Sequence[Column[Any]] = ()
        self._rows: Sequence[Any] = ()
        self._cursor = 0
        self._key: Hashable = None
        """Of the cursor's row, once the user has moved it; until then the cursor stays on the first line."""

    @property
    def rows(self) -> Sequence[Any]:
        """The rows in the order in which they stand."""
        return self._rows

    @property
    def selected(self) -> Any:
        """The row under the cursor; None where there is none."""
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def show(self, columns: Sequence[Column[Any]], rows: Sequence[Any]) -> None:
        """Show other rows; the cursor stays on its row, or on its line when that row has gone."""
        self._columns, self._rows = columns, rows
        if self._key is not None:
            found = next((at for at, row in enumerate(rows) if self._key_of(row) == self._key), None)
            moved = 0 if found is None else found - self._cursor
            self._cursor = self._cursor if found is None else found
            if moved:
                self.top += moved
        self._cursor = max(0, min(self._cursor, len(rows) - 1))
        self.top = self.validate_top(self.top)
        self._reveal()
        self.redraw()

    def move(self, lines: int) -> None:
        """Move the cursor."""
        self._go_to(self._cursor + lines)

    def num_lines(self, width: int) -> int:
        return len(self._rows)

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        line = draw_row(self._rows[index], fitted(self._columns, width), styles)
        if index == self._cursor:
            line.pad_right(max(0, width - line.cell_len))
            line.stylize(styles.cursor)
        return line

    def on_click(self, event: events.Click) -> None:
        self._go_to(event.y + self.top)
        if event.chain > 1:
            self.post_message(self.Opened())

    def _go_to(self, index: int) -> None:
        if self._rows:
            self._cursor = max(0, min(index, len(self._rows) - 1))
            self._key = self._key_of(self._rows[self._cursor])
            self._reveal()
            self.redraw()
            self.post_message(self.Moved())

    def _reveal(self) -> None:
        height = max(1, self.size.height)
        if self._cursor < self.top:
            self.top = self._cursor
        elif self._cursor >= self.top + height:
            self.top = self._cursor - height + 1

    def on_resize(self) -> None:
        super().on_resize()
        self._reveal()

"""Choosing a model: type to filter, arrows to move, enter to select."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Input, Static

from tui.format import fit
from tui.glyphs import CURSOR
from tui.screens.dialog import Dialog
from tui.styles import Styles
from tui.widgets.line_view import LineView


class NameList(LineView):
    """Names with a cursor."""

    cursor: reactive[int] = reactive(0)

    def __init__(self, names: tuple[str, ...], current: str) -> None:
        super().__init__()
        self.names = names
        self.current = current
        if current in names:
            self.set_reactive(NameList.cursor, names.index(current))

    def show(self, names: tuple[str, ...]) -> None:
        """Show fewer or other names."""
        kept = self.names[self.cursor] if self.cursor < len(self.names) else ""
        self.names = names
        self.cursor = names.index(kept) if kept in names else 0
        self._reveal()
        self.refresh()

    def move(self, lines: int) -> None:
        """Move the cursor."""
        self.cursor = max(0, min(len(self.names) - 1, self.cursor + lines))
        self._reveal()

    def _reveal(self) -> None:
        if self.cursor < self.top:
            self.top = self.cursor
        elif self.cursor >= self.top + self.size.height:
            self.top = self.cursor - self.size.height + 1

    def on_resize(self) -> None:
        self._reveal()

    def num_lines(self, width: int) -> int:
        return max(1, len(self.names))

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        if not self.names:
            return Text(
                "Not in the catalog. Press enter to use it as a path or hub id.", styles.muted, end=""
            )
        here = index == self.cursor
        line = Text(f"{CURSOR if here else ' '} ", styles.accent, no_wrap=True, end="")
        name = self.names[index]
        line.append(fit(name, width - 2), styles.strong if name == self.current else styles.plain)
        if here:
            line.stylize(styles.cursor)
        return line


class ModelPicker(Dialog[str]):
    """Returns a catalog name, or what was typed where no name matches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-10)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
    ]

    def __init__(self, current: str, names: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self._current = current
        self._names = names if names is not None else catalog_names()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog picker"):
            yield Static(Content(f"Model  ({len(self._names)} in the catalog)"), classes="dialog-title")
            yield Input(placeholder="type to filter, or enter a folder with config.json", id="filter")
            yield NameList(self._names, self._current)
            yield Static(Content("↑↓ move   enter select   escape cancel"), classes="dialog-keys")

    def on_input_changed(self, event: Input.Changed) -> None:
        words = event.value.lower().split()
        found = tuple(name for name in self._names if all(word in name.lower() for word in words))
        typed = event.value.strip().lower()
        self.query_one(NameList).show(tuple(sorted(found, key=lambda name: _distance(name, typed))))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        names = self.query_one(NameList)
        typed = event.value.strip()
        self.dismiss(names.names[names.cursor] if names.names else typed or None)

    def action_move(self, lines: int) -> None:
        for names in self.query(NameList):
            names.move(lines)


def _distance(name: str, typed: str) -> int:
    """Rank the name itself first, then what begins with what was typed, as the command line does."""
    last = name.lower().rpartition("/")[2]
    if typed in (last, name.lower()):
        return 0
    return 1 if last.startswith(typed) else 2


def catalog_names() -> tuple[str, ...]:
    """Return the names of the catalog, in its order."""
    from cluster.catalog.models import model_names as names

    return tuple(names())

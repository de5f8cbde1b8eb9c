"""The highlighted layout as commands or manifests: choose a format, look at it, copy it or write a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from cluster.errors import ClusterviewError
from cluster.export.format import ExportFormat
from cluster.export.make import ExportedFile
from cluster.text import clean
from tui.background import in_background
from tui.exports import write_new
from tui.screens.dialog import Dialog
from tui.screens.model_picker import NameList

Prepare = Callable[[ExportFormat], ExportedFile]
"""Makes the file of a format. Runs in a worker thread and may plan again."""

_NAME_CELLS = 11
_MOST_LINES = 500
"""Of a preview: what is copied and written is always the whole text."""
_MOST_TO_COPY = 70_000
"""Bytes: some terminals drop a longer clipboard sequence without a word."""


class ExportScreen(Dialog[None]):
    """Formats above, the text of the chosen one below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False, priority=True),
        Binding("down,j", "move(1)", show=False, priority=True),
        Binding("pagedown,space", "scroll(1)", show=False, priority=True),
        Binding("pageup", "scroll(-1)", show=False, priority=True),
        Binding("c", "copy", show=False),
        Binding("w", "write", show=False),
        Binding("q,e", "leave", show=False),
    ]

    def __init__(self, label: str, formats: Sequence[ExportFormat], first: str, prepare: Prepare) -> None:
        super().__init__()
        self._label, self._formats, self._prepare = label, tuple(formats), prepare
        self._file: ExportedFile | None = None
        names = [one.name for one in self._formats]
        self._cursor = names.index(first) if first in names else 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield Static(Content(f"Export {self._label}"), classes="dialog-title")
            lines = tuple(f"{one.name:<{_NAME_CELLS}}{one.summary}" for one in self._formats)
            names = NameList(lines, lines[self._cursor])
            names.styles.height = len(self._formats)
            yield names
            with VerticalScroll(classes="dialog-body export-text", can_focus=False):
                yield Static(id="export-text")
            yield Static(id="export-outcome")
            keys = "↑↓ format   c copy   w write a file   space scroll   escape close"
            yield Static(Content(keys), classes="dialog-keys")

    def on_mount(self) -> None:
        self._show_format()

    def action_move(self, lines: int) -> None:
        """Choose the next format, or the one before."""
        for names in self.query(NameList):
            names.move(lines)
            if names.cursor != self._cursor:
                self._cursor = names.cursor
                self._show_format()

    def action_scroll(self, pages: int) -> None:
        """Scroll the text."""
        for body in self.query(VerticalScroll):
            body.scroll_relative(y=pages * max(1, body.size.height - 1), animate=False)

    @work(exclusive=True, group="export")
    async def _show_format(self) -> None:
        self._file = None
        self._say("Preparing the text.")
        chosen = self._formats[self._cursor]
        try:
            file = await in_background(self._prepare, chosen)
        except Exception as error:
            self._show(_one_line(error))
            self._say("")
            return
        self._file = file
        self._show(file.text)
        self._say(f"{file.name}, {file.text.count(chr(10)):,} lines")

    @work(exclusive=True, group="export")
    async def action_write(self) -> None:
        """Write a new file into the current folder."""
        file = self._file
        if file is None:
            return
        try:
            path = await in_background(write_new, file, Path.cwd())
        except Exception as error:
            self._say(_one_line(error))
            return
        self._say(f"Wrote {path}")

    def action_copy(self) -> None:
        """Send the text to the terminal's clipboard. Terminals do not say whether they took it."""
        if self._file is None:
            return
        size = len(self._file.text.encode())
        if size > _MOST_TO_COPY:
            self._say(f"{size:,} bytes are too many for a terminal's clipboard. Press w to write a file.")
            return
        self.app.copy_to_clipboard(self._file.text)
        self._say("Sent to the terminal's clipboard. If it does not arrive there, press w to write a file.")

    def _show(self, text: str) -> None:
        lines = text.split("\n")
        more = f"\n… {len(lines) - _MOST_LINES:,} more lines" if len(lines) > _MOST_LINES else ""
        for view in self.query("#export-text").results(Static):
            view.update(Content("\n".join(lines[:_MOST_LINES]) + more))
        for body in self.query(VerticalScroll):
            body.scroll_home(animate=False)

    def _say(self, message: str) -> None:
        for line in self.query("#export-outcome").results(Static):
            line.update(Content(message))


def _one_line(error: Exception) -> str:
    if isinstance(error, ClusterviewError):
        return clean(error.one_line(), 500)
    return f"This is a bug in clusterview: {type(error).__name__}: {clean(str(error))}"

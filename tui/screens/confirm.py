"""Confirmation before anything changes on the cluster; the safe answer has the focus."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from tui.confirmations import Confirmation
from tui.screens.dialog import Dialog
from tui.styles import styles_of

_DIALOG_SHARE = 0.94
"""As .dialog's max-height in app.tcss."""
_LINES_AROUND_FACTS = 6


class ConfirmScreen(Dialog[bool]):
    """Ask; True only on an explicit yes."""

    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n", "answer(False)", "No"),
        Binding("left,right,tab", "app.focus_next", show=False),
    ]

    def __init__(self, confirmation: Confirmation) -> None:
        super().__init__()
        self.confirmation = confirmation

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(self.confirmation.title), classes="dialog-title")
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield Static(self._facts(), id="facts")
            with Horizontal(classes="dialog-buttons"):
                yield Button(Content(f"{self.confirmation.no} (n)"), id="no", compact=True)
                yield Button(Content(f"{self.confirmation.yes} (y)"), id="yes", compact=True)

    def on_resize(self) -> None:
        # The question must stay on screen however small it is: what does not fit scrolls above it.
        room = int(self.size.height * _DIALOG_SHARE) - _LINES_AROUND_FACTS
        for body in self.query(".dialog-body"):
            body.styles.max_height = max(1, room)

    def _facts(self) -> Text:
        styles = styles_of(self)
        width = max((len(name) for name, _ in self.confirmation.rows), default=0) + 2
        text = Text()
        for name, value in self.confirmation.rows:
            text.append(name.ljust(width), styles.muted)
            text.append(value.replace("\n", "\n" + " " * width), styles.plain)
            text.append("\n")
        if self.confirmation.remark:
            text.append(f"\n{self.confirmation.remark}", styles.muted)
        text.rstrip()
        return text

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)

"""Something failed: what, and what to do next."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.screens.dialog import Dialog


class NoticeScreen(Dialog[None]):
    """A message, and what to do about it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,space,q", "leave", show=False)]

    def __init__(self, title: str, message: str, hint: str = "") -> None:
        super().__init__()
        self._texts = (title, message, hint)

    def compose(self) -> ComposeResult:
        title, message, hint = self._texts
        with Vertical(classes="dialog"):
            yield Static(Content(title), classes="dialog-title")
            with VerticalScroll(classes="dialog-body"):
                yield Static(Content(message))
                if hint:
                    yield Static(Content(hint), classes="dialog-hint")
            yield Static(Content("enter or escape to close"), classes="dialog-keys")

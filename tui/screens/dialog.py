"""Base of all dialogs: a modal box that escape closes."""

from __future__ import annotations

from typing import ClassVar, Generic, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

Result = TypeVar("Result")


class Dialog(ModalScreen[Result | None], Generic[Result]):
    """A modal box. Escape returns None.

    Keys may come before its parts are there, and it may be left before they ever are. So subclasses look for
    parts with `query`, which may find none; with `query_one` only where a part itself has sent the message.
    """

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-medium"), (158, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close")]

    def action_leave(self) -> None:
        self.dismiss(None)

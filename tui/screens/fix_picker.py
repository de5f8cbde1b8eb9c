"""Choosing among the fixes of a layout: arrows to move, enter to apply one and replan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.text import describe_fix
from tui.screens.dialog import Dialog
from tui.screens.model_picker import NameList


class FixPicker(Dialog[Fix]):
    """Returns one of the fixes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False, priority=True),
        Binding("down,j", "move(1)", show=False, priority=True),
        Binding("enter", "take", show=False, priority=True),
    ]

    def __init__(self, label: str, fixes: Sequence[Fix]) -> None:
        super().__init__()
        self._label, self._fixes = label, tuple(fixes)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content(f"Fixes for {self._label}"), classes="dialog-title")
            names = NameList(tuple(map(describe_fix, self._fixes)), "")
            names.styles.height = len(self._fixes)
            yield names
            yield Static(Content("↑↓ move   enter apply   escape cancel"), classes="dialog-keys")

    def action_move(self, lines: int) -> None:
        for names in self.query(NameList):
            names.move(lines)

    def action_take(self) -> None:
        for names in self.query(NameList):
            self.dismiss(self._fixes[names.cursor])
            return

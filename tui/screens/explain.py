"""The three strategies with the user's own figures, and what they mean."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from cluster.planner.result import Candidate, Plan
from tui.look import Look, look_of
from tui.screens.dialog import Dialog
from tui.widgets.comparison import Comparison
from tui.widgets.decision_path import tree_text


class ExplainScreen(Dialog[None]):
    """Comparison, decision tree, training against inference, rules of thumb."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c,enter,q", "leave", show=False)]

    def __init__(self, plan: Plan, candidate: Candidate | None) -> None:
        super().__init__()
        self._plan, self._candidate = plan, candidate

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield Static(Content(f"How {self._plan.model.name} can be laid out here"), classes="dialog-title")
            with VerticalScroll(classes="dialog-body"):
                yield Comparison()
                yield Static(id="path-text")
            yield Static(Content("↑↓ scroll   escape closes"), classes="dialog-keys")

    def on_mount(self) -> None:
        look = look_of(self)
        self.query_one(Comparison).show(self._plan)
        self.query_one("#path-text", Static).update(explanation(self._plan, look))


def explanation(plan: Plan, look: Look) -> Text:
    """Draw the decision tree."""
    text = Text("\nThe path to this layout\n", look.title)
    text.append_text(tree_text(plan, look))
    return text

"""All keys and all signs on one page."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.glyphs import FREE, OK, PLANNED, ROLE_PLANNED, STALE, TICK, TROUBLE, USED
from tui.look import Look, look_of
from tui.screens.dialog import Dialog

KEYS = (
    ("↑ ↓", "highlight a layout; the map shows where it would go"),
    ("enter", "everything about the highlighted layout"),
    ("m", "pick a model"),
    ("w", "change the workload: tokens, requests at a time, objective, pins"),
    ("c", "compare data, tensor and combined parallelism with your figures"),
    ("d", "deploy the highlighted layout (asks first)"),
    ("x", "stop the selected deployment (asks first)"),
    ("p", "send a prompt to the selected deployment"),
    ("tab", "switch between the plan and what runs"),
    ("n", "select the next deployment"),
    ("r", "plan again on the readings of this moment"),
    ("page up, page down", "turn the pages of the map"),
    ("v", "map as tiles, rows or one line a node"),
    ("t", "next theme: dark, light, colour-blind, high contrast"),
    ("q", "quit; deployments go on"),
)
SIGNS = (
    (USED, "memory in use now"),
    (PLANNED, "memory that the highlighted layout would take"),
    (FREE, "free memory"),
    (f"{ROLE_PLANNED} R0·S1·T2", "planned here: replica 0, pipeline stage 1, tensor rank 2"),
    (f"{OK} R0·T2", "runs here"),
    (OK, "readings are fresh; the age follows"),
    (f"{STALE} stale", "the last reading is old"),
    (f"{TROUBLE} hung, {TROUBLE} lost", "the driver or the node does not answer"),
    (TICK, "recommended"),
    ("×", "refused; the rule and the way out are below the list"),
)


class HelpScreen(Dialog[None]):
    """Keys, then signs."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q,question_mark", "leave", show=False)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(Content("Keys and signs"), classes="dialog-title")
            with VerticalScroll(classes="dialog-body"):
                yield Static(id="help")
            yield Static(Content("↑↓ scroll   escape closes"), classes="dialog-keys")

    def on_mount(self) -> None:
        self.query_one("#help", Static).update(help_text(look_of(self)))


def help_text(look: Look) -> Text:
    """Draw the two tables."""
    text = Text()
    for name, meaning in KEYS:
        text.append(f"{name:<20}", look.accent).append(f"{meaning}\n", look.plain)
    text.append("\n")
    for sign, meaning in SIGNS:
        text.append(f"{sign:<20}", look.strong).append(f"{meaning}\n", look.plain)
    text.rstrip()
    return text

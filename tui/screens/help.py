"""All keys and all signs on one page."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding, BindingType

from tui.glyphs import FREE, OK, PLANNED, ROLE_PLANNED, STALE, TICK, TROUBLE, USED
from tui.screens.page import Page
from tui.styles import Styles

KEYS = (
    ("↑ ↓", "highlight a layout; the map shows where it would go"),
    ("enter", "everything about the highlighted layout"),
    ("m", "pick a model"),
    ("w", "change the workload: tokens, limits, degrees, engine options"),
    ("c", "why: data and tensor parallelism with your figures"),
    ("d", "deploy the highlighted layout (asks first)"),
    ("f", "plan again with a fix for the highlighted layout"),
    ("x", "stop the selected deployment (asks first)"),
    ("p", "send a prompt to the selected deployment"),
    ("tab", "switch between the plan and what runs"),
    ("n", "select the next deployment"),
    ("r", "plan again on the readings of this moment"),
    ("page up, page down", "turn the pages of the map, or of what runs"),
    ("v", "draw the map another way, tiles to one sign a GPU"),
    ("/", "find a node by a part of its name"),
    ("t", "next theme: dark, light, color-blind, high contrast"),
    ("R", "join the cluster again, once it was given up"),
    ("ctrl+l", "draw the screen anew, where something else wrote on it"),
    ("s", "open a simulated cluster, where no GPU is found"),
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
    ("×", "refused; the rule and its fixes are below the list"),
)


class HelpScreen(Page):
    """Keys, then signs."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "leave", show=False)]

    def __init__(self) -> None:
        super().__init__("Keys and signs")

    def draw(self, styles: Styles, width: int) -> Table:
        return help_table(styles)


def help_table(styles: Styles) -> Table:
    """Draw keys, then signs; a long meaning goes on under itself."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for name, meaning in KEYS:
        table.add_row(Text(name, styles.accent), Text(meaning, styles.plain))
    table.add_row("", "")
    for sign, meaning in SIGNS:
        table.add_row(Text(sign, styles.strong), Text(meaning, styles.plain))
    return table

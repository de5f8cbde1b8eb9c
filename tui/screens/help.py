"""All keys and symbols on one page."""

from __future__ import annotations

from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding, BindingType

from tui.glyphs import FREE, OK, PLANNED, ROLE_PLANNED, STALE, TICK, TROUBLE, USED
from tui.screens.page import Page
from tui.screens.views import VIEWS
from tui.styles import Styles

KEYS = (
    ("↑ ↓", "highlight a layout; the map shows its placement"),
    ("enter", "show details of the highlighted layout"),
    ("g ← →", "move to the map; arrows or a click select a GPU or a node, esc returns"),
    ("enter on the map", "open the page of the GPU or node; a second click does the same"),
    ("X on the map", "take a dead node off the map"),
    ("m", "choose a model"),
    ("w", "change the workload: tokens, limits, degrees, options"),
    ("c", "why: data and tensor parallelism with your numbers"),
    ("d", "deploy the highlighted layout (asks first)"),
    ("e", "export the highlighted layout as commands or manifests"),
    ("f", "apply a fix for the highlighted layout and replan"),
    ("x", "stop the selected deployment (asks first)"),
    ("+ -", "add or end a replica of the deployment (asks first)"),
    ("p", "send a prompt to the selected deployment"),
    ("l", "read the engine's log of the selected deployment"),
    ("tab", "switch between the plan and the deployments"),
    ("n", "select the next deployment"),
    ("r", "replan with current free memory"),
    ("page up, page down", "scroll the map or the deployments"),
    ("v", "change the map view: tiles to one character per GPU"),
    ("/", "find a node by part of its name"),
    ("t", "next theme: dark, light, color-blind, high contrast"),
    ("R", "reconnect after the connection was lost"),
    ("ctrl+l", "redraw the screen"),
    ("s", "open a simulated cluster (if no GPU was found)"),
    ("space , . < > [ ]", "of a recording: pause, step back and on, a minute back and on, slower and faster"),
    ("q", "quit; deployments keep running"),
)
SIGNS = (
    (USED, "memory in use now"),
    (PLANNED, "memory the highlighted layout would use"),
    (FREE, "free memory"),
    (f"{ROLE_PLANNED} R0·S1·T2", "planned here: replica 0, pipeline stage 1, tensor rank 2"),
    (f"{OK} R0·T2", "running here"),
    (OK, "readings are fresh; their age follows"),
    (f"{STALE} stale", "the last reading is old"),
    (f"{TROUBLE} hung, {TROUBLE} lost", "the driver or the node does not respond"),
    (TICK, "recommended"),
    ("×", "rejected; the rule and its fixes are below the list"),
)


class HelpScreen(Page):
    """Keys, then symbols."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "leave", show=False)]

    def __init__(self) -> None:
        super().__init__("Keys and symbols")

    def draw(self, styles: Styles, width: int) -> Table:
        return help_table(styles)


def help_table(styles: Styles) -> Table:
    """Draw keys, then symbols; a long meaning wraps under itself."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    views = [(view.key, view.help) for view in VIEWS]
    for name, meaning in (*KEYS, *views):
        table.add_row(Text(name, styles.accent), Text(meaning, styles.plain))
    table.add_row("", "")
    for sign, meaning in SIGNS:
        table.add_row(Text(sign, styles.strong), Text(meaning, styles.plain))
    return table

"""Data parallelism in training and in inference, and rules of thumb, with the plan's figures."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text
from textual.widget import Widget

from cluster.planner.result import Plan
from cluster.units import format_gib
from tui.styles import Styles, styles_of

_BYTES_PER_GRADIENT = 2

RULES = (
    "Data parallel: every replica holds a full copy, no communication, throughput scales with replicas.",
    "Tensor parallel: one model split across GPUs, two all-reduces per layer.",
    "Fits on 1 GPU: data parallel. Does not fit: tensor parallel. Both: TP within nodes, DP across them.",
    "Tensor parallel needs NVLink: keep it within a node.",
)


class TrainingContrast(Widget):
    """Compares data parallelism in training and in inference."""

    DEFAULT_CSS = """
    TrainingContrast { height: auto; margin: 1 0 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._plan: Plan | None = None

    def show(self, plan: Plan | None) -> None:
        """Fill in a plan's figures."""
        self._plan = plan
        self.refresh(layout=True)

    def render(self) -> Table | Text:
        return Text() if self._plan is None else training_table(self._plan, styles_of(self))


def training_table(plan: Plan, styles: Styles) -> Table:
    """Build the contrast and the rules as one table of two columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column(Text(""), min_width=14, no_wrap=True)
    table.add_column(Text("Data parallel in training", styles.strong), ratio=6)
    table.add_column(Text("Data parallel in inference", styles.strong), ratio=6)
    gradients = format_gib(plan.model.parameters * _BYTES_PER_GRADIENT) if plan.model.parameters else "all"
    rows = (
        ("Each GPU", "full copy of the model", "full copy of the model"),
        ("Work", "each copy processes part of the batch", "each request goes to one copy"),
        ("Between GPUs", f"all-reduce of {gradients} of gradients per step", "nothing"),
        ("Benefit", "faster training", "more throughput"),
    )
    for name, training, inference in rows:
        table.add_row(Text(name, styles.muted), Text(training, styles.plain), Text(inference, styles.plain))
    return table


def rules_text(styles: Styles) -> Text:
    """Draw the rules of thumb, one per line."""
    return Text("\n".join(RULES), styles.plain)

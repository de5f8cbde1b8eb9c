"""The path through the decision tree that led to the layout, with this user's numbers."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from textual.widget import Widget

from cluster.planner.result import DecisionStep, Plan
from tui.glyphs import ARROW, LAST_BRANCH
from tui.styles import Styles, styles_of
from tui.widgets.plan_summary import answer_line


class DecisionPath(Widget):
    """Questions and answers: a tree where there is room, one paragraph where there is not."""

    DEFAULT_CSS = """
    DecisionPath { height: auto; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._roomy = True
        self._wrapped = True

    def show(self, plan: Plan | None) -> None:
        """Show a plan's path."""
        self._plan = plan
        self.refresh(layout=True)

    def set_roomy(self, roomy: bool, wrapped: bool) -> None:
        """Choose between tree and paragraph, and whether the tree's reasons may take several lines."""
        if (roomy, wrapped) != (self._roomy, self._wrapped):
            self._roomy, self._wrapped = roomy, wrapped
            self.refresh(layout=True)

    def render(self) -> RenderableType:
        styles = styles_of(self)
        if self._plan is None:
            return Text()
        return path_tree(self._plan, styles, self._wrapped) if self._roomy else path_text(self._plan, styles)


def path_tree(plan: Plan, styles: Styles, wrapped: bool = True) -> Group:
    """Draw the path as a tree, one level deeper at each question; wrapped lines keep their indent."""
    parts: list[RenderableType] = []
    for depth, step in enumerate(plan.decision):
        parts.append(Padding(_step(step, styles, wrapped), (0, 0, 0, 2 * depth)))
    parts.append(Padding(answer_line(plan, styles), (0, 0, 0, 2 * len(plan.decision))))
    return Group(*parts)


def _step(step: DecisionStep, styles: Styles, wrapped: bool) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
    grid.add_column(width=1)
    grid.add_column(ratio=1, no_wrap=not wrapped, overflow="fold" if wrapped else "ellipsis")
    question = Text(f"{step.question} ", styles.plain)
    question.append(step.answer, styles.strong)
    outer = Table.grid(expand=True)
    outer.add_row(question)
    if step.because:
        grid.add_row(Text(LAST_BRANCH, styles.faint), Text(step.because, styles.muted))
        outer.add_row(grid)
    return outer


def path_text(plan: Plan, styles: Styles) -> Text:
    """Draw the path as one paragraph: question answer → question answer → layout."""
    text = Text()
    for step in plan.decision:
        text.append(f"{step.question} ", styles.muted)
        text.append(step.answer, styles.strong)
        text.append(f" {ARROW} ", styles.faint)
    best = plan.recommended
    return text.append(best.label if best else "nothing fits", styles.title if best else styles.bad)

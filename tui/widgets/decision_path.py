"""The path through the decision tree that led to the layout, with this user's numbers."""

from __future__ import annotations

from rich.text import Text

from cluster.planner.result import Plan
from tui.glyphs import ARROW, LAST_BRANCH
from tui.look import Look
from tui.widgets.plan_summary import answer_line
from tui.widgets.text_panel import TextPanel


class DecisionPath(TextPanel):
    """Questions and answers: a tree where there is room, one paragraph where there is not."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Plan | None = None

    def show(self, plan: Plan | None) -> None:
        """Show a plan's path."""
        self._plan = plan
        self.changed()

    def draw(self, look: Look) -> Text:
        if self._plan is None:
            return Text()
        return tree_text(self._plan, look) if self.roomy else path_text(self._plan, look)


def tree_text(plan: Plan, look: Look) -> Text:
    """Draw the path as a tree, one level deeper at each question."""
    text = Text()
    for depth, step in enumerate(plan.decision):
        indent = "  " * depth
        text.append(f"{indent}{step.question} ", look.plain)
        text.append(f"{step.answer}\n", look.strong)
        text.append(f"{indent}{LAST_BRANCH} {step.because}\n", look.muted)
    text.append("  " * len(plan.decision))
    text.append_text(answer_line(plan, look))
    return text


def path_text(plan: Plan, look: Look) -> Text:
    """Draw the path as one paragraph: question answer → question answer → layout."""
    text = Text()
    for step in plan.decision:
        text.append(f"{step.question} ", look.muted)
        text.append(step.answer, look.strong)
        text.append(f" {ARROW} ", look.faint)
    best = plan.recommended
    text.append(best.label if best else "nothing fits", look.title if best else look.bad)
    return text

"""The three strategies with the user's own figures, the pictures, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType

from cluster.errors import ClusterviewError
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from tui.background import in_background
from tui.diagrams import data_parallel_picture, tensor_parallel_picture
from tui.planner.by_name import PlanFunction
from tui.screens.page import Page
from tui.setup import Example
from tui.styles import Styles
from tui.widgets.comparison import comparison_table
from tui.widgets.decision_path import path_tree
from tui.widgets.rules_of_thumb import rules_text, training_table


class ExplainScreen(Page):
    """Comparison, decision path, pictures, training against inference, examples, rules of thumb."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "leave", show=False)]

    def __init__(
        self, plan: Plan, candidate: Candidate | None, ask: PlanFunction, examples: Sequence[Example] = ()
    ) -> None:
        super().__init__(f"Why this layout: {plan.model.name}")
        self._plan, self._candidate, self._ask = plan, candidate or plan.recommended, ask
        self._examples = tuple(examples)

    def on_mount(self) -> None:
        if self._examples:
            self._answer_examples()

    @work(group="examples", exclusive=True)
    async def _answer_examples(self) -> None:
        self._examples = await in_background(_answered, self._examples, self._ask)
        self.redraw()

    def draw(self, styles: Styles, width: int) -> RenderableType:
        plan, candidate = self._plan, self._candidate
        parts: list[RenderableType] = [_heading("Side by side", styles), comparison_table(plan, styles)]
        parts += [_heading("\nDecision path", styles), path_tree(plan, styles)]
        if candidate is not None and candidate.placement:
            layout = candidate.layout
            if layout.tp > 1:
                parts.append(_heading(f"\nTensor parallel: {candidate.label}, one replica", styles))
                parts.append(tensor_parallel_picture(candidate, plan.model, width, styles))
            parts.append(_heading(f"\nData parallel: {candidate.label}, all replicas", styles))
            parts.append(data_parallel_picture(candidate, width, styles))
        parts += [_heading("\nTraining vs. inference", styles), training_table(plan, styles)]
        if self._examples:
            parts += [
                _heading("\nExamples (planned live)", styles),
                _examples_table(self._examples, styles),
            ]
        parts += [_heading("\nRules of thumb", styles), rules_text(styles)]
        return Group(*parts)


def _heading(title: str, styles: Styles) -> Text:
    return Text(title, styles.title)


def _answered(examples: Sequence[Example], ask: PlanFunction) -> tuple[Example, ...]:
    """Plan each example; one that cannot be planned gets the reason."""
    from cluster.cluster_spec import parse_cluster_spec

    answered = []
    for example in examples:
        try:
            plan = ask(parse_cluster_spec(example.cluster), example.model, PlanRequest())
            best = plan.recommended
            answer = best.label if best is not None else "nothing fits"
            why = best.why if best is not None else " ".join(plan.advice[:1])
        except ClusterviewError as error:
            answer, why = "n/a", error.message
        answered.append(Example(example.model, example.cluster, answer, why))
    return tuple(answered)


def _examples_table(examples: Sequence[Example], styles: Styles) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    for title, ratio in (("model", 5), ("cluster", 3), ("layout", 2), ("reason", 8)):
        table.add_column(Text(title, styles.strong), ratio=ratio)
    for example in examples:
        table.add_row(
            Text(example.model, styles.plain),
            Text(example.cluster, styles.plain),
            Text(example.answer or "planning", styles.title if example.answer else styles.muted),
            Text(example.why, styles.muted),
        )
    return table

"""Beside the plan where there is room: the strategies compared, rules of thumb, pictures of the layout."""

from __future__ import annotations

from textual.containers import VerticalScroll

from cluster.planner.result import Candidate, Plan
from tui.widgets.comparison import Comparison
from tui.widgets.pictures import Pictures
from tui.widgets.rules_of_thumb import TrainingContrast
from tui.widgets.section import Section


class Explanations(VerticalScroll, can_focus=False):
    """Keeps its parts on the same plan."""

    def __init__(self, id: str | None = None) -> None:
        self._comparison, self._training, self._pictures = Comparison(), TrainingContrast(), Pictures()
        super().__init__(Section("Side by side"), self._comparison, self._training, self._pictures, id=id)

    def show(self, plan: Plan | None) -> None:
        """Show another plan."""
        self._comparison.show(plan)
        self._training.show(plan)

    def show_candidate(self, plan: Plan | None, candidate: Candidate | None) -> None:
        """Draw the highlighted layout."""
        if plan is not None:
            self._pictures.show(candidate, plan.model)

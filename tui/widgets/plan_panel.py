"""The plan: the model and the request, the decision path, the layouts, and a note on the highlighted one."""

from __future__ import annotations

from textual.containers import Vertical

from cluster.deploy.engine_in_use import EngineInUse
from cluster.planner.result import Plan
from tui.widgets.alternatives import Alternatives
from tui.widgets.candidate_note import CandidateNote
from tui.widgets.decision_path import DecisionPath
from tui.widgets.plan_summary import PlanSummary

_LINES_AROUND = 5
_LINES_ABOUT_A_LAYOUT = 22
"""The question, the path to the answer, and the note on the highlighted layout at their longest."""


class PlanPanel(Vertical):
    """Keeps its parts on the same plan."""

    def __init__(self, waiting: str, id: str | None = None) -> None:
        self.summary = PlanSummary(waiting, id="summary")
        self.path = DecisionPath(id="path")
        self.alternatives = Alternatives(id="alternatives")
        self.note = CandidateNote(id="note")
        super().__init__(self.summary, self.path, self.alternatives, self.note, id=id)
        self._plan: Plan | None = None

    def show(
        self,
        plan: Plan | None,
        waiting: str = "",
        assumed_stopped: str = "",
        engine: EngineInUse | None = None,
    ) -> None:
        """Show a plan, or why there is none.

        `assumed_stopped` names deployments it assumes are stopped; `engine` would run it, None where nothing
        can be deployed.
        """
        self._plan = plan
        self.summary.show(plan, waiting, assumed_stopped, engine)
        self.path.show(plan)
        self.alternatives.show(plan)

    def show_candidate(self, not_runnable: str = "") -> None:
        """Show the note on the highlighted layout; `not_runnable` says why it cannot be deployed."""
        advice = self._plan.advice if self._plan is not None and self._plan.recommended is None else ()
        self.note.show(self.alternatives.candidate, advice, not_runnable)

    def fit(self, tall: bool, wide: bool) -> None:
        """Choose the form of each part for a screen of this kind."""
        self.path.set_roomy(tall, wide)
        self.note.set_max_lines(10 if tall else 3)
        self.summary.set_roomy(tall)

    def limit(self, shared_lines: int | None, with_deployments: bool) -> None:
        """Limit the list of layouts so that the note on one stays on screen.

        `shared_lines` is the screen's height where plan and deployments share a column, else None.
        """
        share = 0.7 if with_deployments else 0.9
        room = int(((shared_lines or 0) - _LINES_AROUND) * share) - _LINES_ABOUT_A_LAYOUT
        self.alternatives.styles.max_height = max(6, room) if shared_lines is not None else None

"""The main screen's plan: asked in a worker thread, shown in every panel that speaks of it."""

from __future__ import annotations

from textual import work

from cluster.errors import ClusterviewError
from cluster.planner.result import Candidate, Plan
from cluster.text import clean
from tui.background import in_background
from tui.cluster_now import current_cluster
from tui.planner.wire import PlannerFault
from tui.planning import (
    Question,
    answer,
    answer_beside_deployments,
    candidate_key,
    engine_of,
    find_candidate,
    model_reference,
    not_runnable,
)
from tui.scene import SceneBuilder
from tui.screens.main_base import MainBase
from tui.widgets.alternatives import Alternatives
from tui.widgets.candidate_note import CandidateNote
from tui.widgets.cluster_map import ClusterMap
from tui.widgets.comparison import Comparison
from tui.widgets.decision_path import DecisionPath
from tui.widgets.pictures import Pictures
from tui.widgets.plan_summary import PlanSummary
from tui.widgets.rules_of_thumb import Lessons

_LONG_S = 3.0
"""A plan that takes longer is spoken of."""


class MainPlanning(MainBase):
    """Asks the planner and shows its answer."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question
        self.plan: Plan | None = None
        self.as_if_stopped = ""
        self.not_runnable = ""
        self.planned_for: tuple[object, ...] = ()
        self._scenes = SceneBuilder()

    @property
    def candidate(self) -> Candidate | None:
        return self.query_one(Alternatives).candidate

    def ask(self, question: Question) -> None:
        self.question = question
        # Where there is room for one panel only, the answer must not come behind the other.
        self.remove_class("-show-deployment")
        self.query_one(PlanSummary).show(None, f"Planning {question.models[-1]}")
        self.replan()

    @work(exclusive=True, group="plan")
    async def replan(self) -> None:
        """Answer the question on the cluster as it is now, off the screen's thread."""
        snapshot = self.view.store.snapshot
        self.planned_for = snapshot.planning_key
        ask = self.view.setup.plan
        still = self.set_timer(_LONG_S, self._say_still_planning)
        try:
            found = await in_background(answer_beside_deployments, self.question, snapshot, ask)
        except ClusterviewError as error:
            self.show_plan(None)
            self.query_one(PlanSummary).show(None, error.one_line())
            self.say(error.one_line(), "bad")
        except Exception as error:
            # A fault of the planner must not take the screen with it.
            told = clean(
                str(error) if isinstance(error, PlannerFault) else f"{type(error).__name__}: {error}"
            )
            self.show_plan(None)
            self.query_one(PlanSummary).show(None, f"The planner failed: {told}")
            self.say(f"The planner failed: {told}", "bad")
        else:
            if found is not None:
                self.show_plan(found.plan, found.as_if_stopped)
        finally:
            still.stop()

    def _say_still_planning(self) -> None:
        """Say that a plan takes its time, and that nobody has to wait for it."""
        self.say(f"Still planning {self.question.models[-1]}. m takes another model, w another workload.")

    async def look_again(self, wanted: Candidate) -> tuple[Plan, Candidate | None]:
        """Plan on the readings of this moment and find the wanted layout in the answer, if it is there."""
        cluster = current_cluster(self.view.store.snapshot)
        assert cluster is not None and self.plan is not None
        question = Question((model_reference(self.plan),), self.question.request)
        plan = await in_background(answer, question, cluster, self.view.setup.plan)
        self.show_plan(plan)
        return plan, find_candidate(plan, candidate_key(wanted))

    def show_plan(self, plan: Plan | None, as_if_stopped: str = "") -> None:
        self.plan, self.as_if_stopped = plan, as_if_stopped
        engine = engine_of(plan) if plan is not None and self.view.session.can_deploy else None
        self.query_one(PlanSummary).show(plan, as_if_stopped=as_if_stopped, engine=engine)
        self.query_one(DecisionPath).show(plan)
        self.query_one(Alternatives).show(plan)
        self.query_one(Comparison).show(plan)
        self.query_one(Lessons).show(plan)
        self.show_candidate()

    def show_candidate(self) -> None:
        """Show the highlighted layout on the map and in words."""
        advice = self.plan.advice if self.plan is not None and self.plan.recommended is None else ()
        deployable = self.view.session.can_deploy
        self.not_runnable = not_runnable(self.plan, self.candidate) if self.plan and deployable else ""
        self.query_one(CandidateNote).show(self.candidate, advice, self.not_runnable)
        if self.plan is not None:
            self.query_one(Pictures).show(self.candidate, self.plan.model)
        self.redraw_map()
        self.refresh_bindings()

    def redraw_map(self) -> None:
        """Draw the map as of now, so that ages grow."""
        scene = self._scenes.scene(self.view.store.snapshot, self.candidate, self.view.setup.clock())
        self.query_one(ClusterMap).show(scene)

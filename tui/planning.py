"""The question on screen and the latest answer to it."""

from __future__ import annotations

from cluster.errors import ClusterviewError
from cluster.planner.result import Candidate, Plan
from cluster.text import clean
from tui.background import in_background
from tui.cluster_now import current_cluster, moved_gpus
from tui.context import AppContext
from tui.deploy_spec import load_order_code
from tui.planner.wire import PlannerFault
from tui.question import (
    Question,
    answer,
    answer_beside_deployments,
    candidate_key,
    find_candidate,
    model_reference,
)


class Planning:
    """The current question and the latest answer to it. Knows no widgets: the screen shows what it holds."""

    def __init__(self, context: AppContext, question: Question) -> None:
        self._context = context
        self.question = question
        self.plan: Plan | None = None
        self.assumed_stopped = ""
        """Names of deployments that the plan assumes are stopped."""
        self.failure = ""
        """Why there is no plan, in one line; '' when there is one, or none was asked for."""
        self._planned_for: tuple[object, ...] = ()

    @property
    def model_name(self) -> str:
        """The model that is planned last: the one to name while there is no plan."""
        return self.question.models[-1]

    @property
    def models(self) -> tuple[str, ...]:
        """The model on screen, where the question left a choice of several; else the question's model."""
        is_choice = len(self.question.models) > 1
        return (model_reference(self.plan),) if is_choice and self.plan is not None else self.question.models

    @property
    def out_of_date(self) -> bool:
        """GPUs, claims, deployments or silent nodes have changed since the question was last answered."""
        snapshot = self._context.store.snapshot
        return snapshot.cluster is not None and snapshot.planning_key != self._planned_for

    @property
    def num_moved_gpus(self) -> int:
        """GPUs whose free memory has changed by a GiB or more since the plan was made."""
        return moved_gpus(self.plan.cluster, self._context.store.snapshot) if self.plan is not None else 0

    def forget(self) -> None:
        """Plan again as soon as the next cluster is seen: the session is about to change."""
        self._planned_for = ()

    async def replan(self) -> bool:
        """Answer the question on the cluster as it is now; False when there is nothing to plan on yet.

        Never raises: a failure, of whatever kind, is in `failure`.
        """
        snapshot = self._context.store.snapshot
        self._planned_for = snapshot.planning_key
        ask = self._context.setup.plan
        try:
            found = await in_background(answer_beside_deployments, self.question, snapshot, ask)
            await in_background(load_order_code)
        except Exception as error:
            self.plan, self.assumed_stopped, self.failure = None, "", _one_line(error)
            return True
        if found is None:
            return False
        self.plan, self.assumed_stopped, self.failure = found.plan, found.assumed_stopped, ""
        return True

    async def plan_on_latest(self, wanted: Candidate) -> tuple[Plan, Candidate | None]:
        """Plan on the latest readings and return the plan and the wanted layout in it, if it is there.

        Raises what the planner raises. Needs a plan and a cluster: there is a candidate.
        """
        cluster = current_cluster(self._context.store.snapshot)
        assert cluster is not None and self.plan is not None
        question = Question(self.models, self.question.request)
        plan = await in_background(answer, question, cluster, self._context.setup.plan)
        self.plan, self.assumed_stopped, self.failure = plan, "", ""
        return plan, find_candidate(plan, candidate_key(wanted))


def _one_line(error: Exception) -> str:
    """Describe a failed plan in one line; a bug in the planner must not take the screen down."""
    if isinstance(error, ClusterviewError):
        return error.one_line()
    text = str(error) if isinstance(error, PlannerFault) else f"{type(error).__name__}: {error}"
    return f"The planner failed: {clean(text)}"

"""What the user asks of the planner, and how it is answered on a cluster that changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from tui.cluster_now import current_cluster, without_deployments
from tui.planner.by_name import PlanFunction
from tui.store import Snapshot


@dataclass(frozen=True, slots=True)
class Question:
    """What the user wants to know. Several models: the first that fits is the answer."""

    models: tuple[str, ...]
    request: PlanRequest


def answer(question: Question, cluster: Cluster, plan: PlanFunction) -> Plan:
    """Plan the first of the question's models that fits, or else the last."""
    for name in question.models[:-1]:
        found = plan(cluster, name, question.request)
        if found.recommended is not None:
            return found
    return plan(cluster, question.models[-1], question.request)


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan, and the deployments of ours that it assumes are stopped ('' when there are none)."""

    plan: Plan
    assumed_stopped: str = ""


def answer_beside_deployments(question: Question, snapshot: Snapshot, plan: PlanFunction) -> Answer | None:
    """Plan on what is free; where our own deployments leave no room, plan as though they were stopped.

    This keeps the running layout, its reasons and its comparison on screen beside the measurements.
    """
    cluster = current_cluster(snapshot)
    if cluster is None or not cluster.num_gpus or not question.models:
        return None
    found = answer(question, cluster, plan)
    if found.recommended is None and snapshot.deployments:
        names = ", ".join(status.name for status in snapshot.deployments)
        instead = answer(question, without_deployments(cluster, snapshot), plan)
        if instead.recommended is not None:
            return Answer(instead, names)
    return Answer(found)


def model_reference(plan: Plan) -> str:
    """Return what loads the model of a plan again: the name, folder or file it was loaded from."""
    origin = plan.model.origin
    return plan.model.name if origin is None else origin.reference


def candidate_key(candidate: Candidate) -> str:
    """Return a key by which the cursor finds a candidate again in the next plan."""
    layout = candidate.layout
    return f"{layout.tp}/{layout.pp}/{layout.dp}/{layout.ep}/{int(layout.dp_attention)}"


def find_candidate(plan: Plan, key: str) -> Candidate | None:
    """Find a layout in a plan by its key."""
    return next((item for item in plan.candidates if candidate_key(item) == key), None)

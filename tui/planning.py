"""Asking the planner from a screen: the freshest cluster, one question at a time, in a worker thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.spec import DeploymentSpec
from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from tui.cluster_now import current_cluster, without_deployments
from tui.planner.by_name import PlanFunction
from tui.store import Snapshot

SpecFunction = Callable[[Plan, Candidate, tuple[str, ...]], DeploymentSpec]
"""(plan, candidate, names of the deployments that exist) -> what to deploy. Runs in a worker thread."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the user wants to know. Several models: the first that fits is the answer."""

    models: tuple[str, ...]
    request: PlanRequest
    serial: int = 0


def order_now(plan: Plan, candidate: Candidate, taken_names: tuple[str, ...]) -> DeploymentSpec:
    """Turn a layout into an order, with the time and the API key of this moment."""
    from cluster.deploy.api_keys import hashed_keys
    from cluster.deploy.order import OrderTerms, make_order

    terms = OrderTerms(time.time(), taken_names, api_key_sha256=hashed_keys())
    return make_order(plan, candidate, terms)


def engine_of(plan: Plan) -> EngineInUse:
    """Return the engine that would run a layout of this plan, beside the one it was planned for."""
    from cluster.deploy.order import engine_for

    return engine_for(plan)


def not_runnable(plan: Plan, candidate: Candidate | None) -> str:
    """Say why the built-in engine cannot run a feasible layout; '' where nothing is known against it."""
    from cluster.deploy.order import why_not_runnable

    if candidate is None or not candidate.feasible:
        return ""
    error = why_not_runnable(plan, candidate)
    return "" if error is None else error.one_line()


def answer(question: Question, cluster: Cluster, plan: PlanFunction) -> Plan:
    """Plan the first of the question's models that fits, or else the last."""
    answers: Sequence[str] = question.models
    for name in answers[:-1]:
        found = plan(cluster, name, question.request)
        if found.recommended is not None:
            return found
    return plan(cluster, answers[-1], question.request)


@dataclass(frozen=True, slots=True)
class Answer:
    """A plan, and the deployments of ours that it takes for stopped ('' when it takes none)."""

    plan: Plan
    as_if_stopped: str = ""


def answer_beside_deployments(question: Question, snapshot: Snapshot, plan: PlanFunction) -> Answer | None:
    """Plan on what is free; where our own deployments leave no room, plan as if they were stopped.

    So the layout that runs, its reasons and its comparison stay on screen beside what is measured of it.
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
    """Name a candidate so that the cursor finds it again in the next plan."""
    layout = candidate.layout
    return f"{layout.tp}/{layout.pp}/{layout.dp}/{layout.ep}/{int(layout.dp_attention)}"


def find_candidate(plan: Plan, key: str) -> Candidate | None:
    """Find a layout in a plan by its key."""
    return next((item for item in plan.candidates if candidate_key(item) == key), None)

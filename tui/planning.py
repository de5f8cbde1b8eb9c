"""Asking the planner from a screen: the freshest cluster, one question at a time, in a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.deploy.spec import DeploymentSpec
from cluster.inventory import Cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from tui.cluster_now import current_cluster, without_deployments
from tui.planner.by_name import PlanFunction
from tui.store import Snapshot

SpecFunction = Callable[[Plan, Candidate, "OrderContext"], DeploymentSpec]
"""(plan, candidate, where and what of the order) -> what to deploy. Runs in a worker thread."""


@dataclass(frozen=True, slots=True)
class OrderContext:
    """What an order needs beside the layout."""

    model_path: str | None
    """Folder or file of the model; None for a catalogue name or hub id."""
    simulated: bool
    taken_names: tuple[str, ...]
    """Names of deployments that exist."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the user wants to know. Several models: the first that fits is the answer."""

    models: tuple[str, ...]
    request: PlanRequest


def spec_with_scale(plan: Plan, candidate: Candidate, context: OrderContext) -> DeploymentSpec:
    """Turn a layout into an order; on a simulated cluster the model is scaled down."""
    from cluster.deploy.api_keys import hashed_keys
    from cluster.deploy.make_spec import spec_from

    return spec_from(
        plan,
        candidate,
        model_path=context.model_path,
        simulated=context.simulated,
        taken=context.taken_names,
        api_key_sha256=hashed_keys(),
    )


def model_path(model_name: str) -> str | None:
    """Return what a model's name means on this machine's disk; None for a catalogue name or hub id."""
    from cluster.deploy.model_choice import path_named

    return path_named(model_name)


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


def candidate_key(candidate: Candidate) -> str:
    """Name a candidate so that the cursor finds it again in the next plan."""
    layout = candidate.layout
    return f"{layout.tp}/{layout.pp}/{layout.dp}/{layout.ep}/{int(layout.dp_attention)}"


def find_candidate(plan: Plan, key: str) -> Candidate | None:
    """Find a layout in a plan by its key."""
    return next((item for item in plan.candidates if candidate_key(item) == key), None)

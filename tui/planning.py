"""Asking the planner from a screen: the freshest cluster, one question at a time, in a worker thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.deploy.spec import DeploymentSpec
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from cluster.telemetry import GpuReading, NodeReading
from tui.store import Snapshot

PlanFunction = Callable[[Cluster, str, PlanRequest], Plan]
"""(cluster, model name or path, request) -> plan; raises ClusterviewError. Runs in a worker thread."""

SpecFunction = Callable[[Plan, Candidate, "OrderContext"], DeploymentSpec]
"""(plan, candidate, where and what of the order) -> what to deploy. Runs in a worker thread."""

_DEAD_STATES = ("hung", "lost")


@dataclass(frozen=True, slots=True)
class OrderContext:
    """What an order needs beside the layout."""

    model_path: str | None
    """Folder with the weights; None: dummy weights."""
    simulated: bool
    taken_names: tuple[str, ...]
    """Names of deployments that exist."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the user wants to know. Several models: the first that fits is the answer."""

    models: tuple[str, ...]
    request: PlanRequest
    serial: int = 0


def plan_with_catalogue(cluster: Cluster, model_name: str, request: PlanRequest) -> Plan:
    """Resolve a model's name or path and plan it."""
    from cluster.catalog.models import load_model
    from cluster.planner.plan import plan

    return plan(cluster, load_model(model_name, request.dtype, request.quantization), request)


def spec_with_scale(plan: Plan, candidate: Candidate, context: OrderContext) -> DeploymentSpec:
    """Turn a layout into an order; on a simulated cluster the model is scaled down."""
    from cluster.deploy.make_spec import spec_from

    return spec_from(
        plan,
        candidate,
        model_path=context.model_path,
        simulated=context.simulated,
        taken=context.taken_names,
    )


def weights_folder(model_name: str) -> str | None:
    """Return the folder that a model's name points at; None for a catalogue name or a lone config.json."""
    path = Path(model_name).expanduser()
    return str(path) if path.is_dir() else None


def answer(question: Question, cluster: Cluster, plan: PlanFunction) -> Plan:
    """Plan the first of the question's models that fits, or else the last."""
    answers: Sequence[str] = question.models
    for name in answers[:-1]:
        found = plan(cluster, name, question.request)
        if found.recommended is not None:
            return found
    return plan(cluster, answers[-1], question.request)


def current_cluster(snapshot: Snapshot) -> Cluster | None:
    """Return the cluster with the latest free memory, and without nodes that do not answer."""
    cluster = snapshot.cluster
    if cluster is None or not snapshot.readings:
        return cluster
    nodes = tuple(_current_node(node, snapshot.readings.get(node.node_id)) for node in cluster.nodes)
    newest = max(reading.taken_at_s for reading in snapshot.readings.values())
    return cluster.model_copy(update={"nodes": nodes, "taken_at_s": newest})


def _current_node(node: Node, reading: NodeReading | None) -> Node:
    if reading is None:
        return node
    if reading.state in _DEAD_STATES:
        reason = f"{node.name} is {reading.state}" + (f": {reading.reason}" if reading.reason else "")
        gpus = tuple(gpu.model_copy(update={"unhealthy_reason": reason}) for gpu in node.gpus)
    else:
        by_uuid = {item.uuid: item for item in reading.gpus}
        gpus = tuple(_current_gpu(gpu, by_uuid.get(gpu.uuid)) for gpu in node.gpus)
    return node.model_copy(update={"gpus": gpus})


def _current_gpu(gpu: Gpu, reading: GpuReading | None) -> Gpu:
    if reading is None:
        return gpu
    changes: dict[str, object] = {}
    if reading.memory_free_bytes is not None:
        changes["memory_free_bytes"] = reading.memory_free_bytes
    if reading.memory_total_bytes is not None:
        changes["memory_total_bytes"] = reading.memory_total_bytes
    if reading.processes:
        changes["processes"] = reading.processes
    if reading.error:
        changes["unhealthy_reason"] = reading.error
    return gpu.model_copy(update=changes)


def candidate_key(candidate: Candidate) -> str:
    """Name a candidate so that the cursor finds it again in the next plan."""
    layout = candidate.layout
    return f"{layout.tp}/{layout.pp}/{layout.dp}/{layout.ep}/{int(layout.dp_attention)}"


def find_candidate(plan: Plan, key: str) -> Candidate | None:
    """Find a layout in a plan by its key."""
    return next((item for item in plan.candidates if candidate_key(item) == key), None)

"""Which engine a deployment runs: the one that was asked for, else by what the nodes have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.engine_version import is_same_release, parse_version
from cluster.catalog.model_spec import ModelSpec
from cluster.engines.adapter import adapter_names
from cluster.errors import BadInput
from cluster.inventory import Cluster, Node
from cluster.planner.request import EngineName, PlanRequest

BUILTIN: EngineName = "builtin"
"""The engine of `cluster/runtime`, which runs inside the rank actors."""
_NODES_NAMED = 3


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """A request with the engine, and the version of it, that a deployment would run."""

    request: PlanRequest
    said: str = ""
    """Why, in one line; '' where the request itself decides."""


def choose_engine(request: PlanRequest, cluster: Cluster, model: ModelSpec) -> EngineChoice:
    """Return `request` for the engine that a deployment on `cluster` would run.

    Without `--engine` this is the default one, unless nodes are known to lack it: then the built-in engine,
    if it runs the model. The version is the one that is installed. Nothing is refused here: a plan can be
    made for any engine (`check_engine` of `cluster.deploy.order` refuses what cannot be started).
    """
    if cluster.simulated or request.workload == "training" or request.engine == BUILTIN:
        return EngineChoice(request)
    nodes = nodes_with_gpus(cluster)
    if not (request.engine_asked or request.engine_version):
        reason = why_not_default(request.engine, nodes)
        if reason and _builtin_runs(model):
            chosen = replace(request, engine=BUILTIN)
            return EngineChoice(chosen, f"{reason}: the built-in engine is used")
    installed = versions_on(request.engine, nodes)
    version = _usable_version(request, installed)
    if version is None:
        return EngineChoice(request)
    mixed = len(installed) > 1 or nodes_without(request.engine, nodes)
    where = named(installed[version]) if mixed else "the nodes"
    said = f"planned for {request.engine} {version}, which is installed on {where}"
    is_usual = is_same_release(version, request.engine_version or load_engine(request.engine).version)
    return EngineChoice(replace(request, engine_version=version), "" if is_usual else said)


def nodes_with_gpus(cluster: Cluster) -> tuple[Node, ...]:
    """Return the nodes on which something could be deployed."""
    return tuple(node for node in cluster.nodes if any(gpu.usable for gpu in node.gpus))


def versions_on(engine: str, nodes: Iterable[Node]) -> dict[str, list[str]]:
    """Map each installed version of an engine to the names of the nodes that have it, most nodes first."""
    found: dict[str, list[str]] = {}
    for node in nodes:
        if node.engines and engine in node.engines:
            found.setdefault(node.engines[engine], []).append(node.name)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def nodes_without(engine: str, nodes: Iterable[Node]) -> list[Node]:
    """Return the nodes that were looked at and do not have the engine."""
    return [node for node in nodes if node.engines is not None and engine not in node.engines]


def why_not_default(engine: str, nodes: Sequence[Node]) -> str:
    """Return why an engine that nobody asked for is not used; '' when all nodes have it, or none is known."""
    without = nodes_without(engine, nodes)
    return f"{engine} is not installed on {named([node.name for node in without])}" if without else ""


def named(names: Sequence[str], most: int = _NODES_NAMED) -> str:
    """Return names for a sentence: 'a, b, c and 5 more'."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def is_startable(engine: str) -> bool:
    """Return whether deployments can run an engine; others can only be planned for."""
    return engine == BUILTIN or engine in adapter_names()


def _usable_version(request: PlanRequest, installed: dict[str, list[str]]) -> str | None:
    """Return the installed version to plan for; None where none is known, or another one was asked for."""
    for version in installed:
        if _can_be_read(version) and (
            request.engine_version is None or is_same_release(version, request.engine_version)
        ):
            return version
    return None


def _can_be_read(version: str) -> bool:
    try:
        parse_version(version)
    except BadInput:
        return False
    return True


def _builtin_runs(model: ModelSpec) -> bool:
    return model.quantization is None and model.architecture in load_engine(BUILTIN).models.architectures

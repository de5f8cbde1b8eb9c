"""The engine that would run a layout of a plan, and whether it can be started on the nodes of the layout."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.engine_version import is_same_release
from cluster.deploy.engine_choice import (
    BUILTIN,
    is_startable,
    named,
    nodes_with_gpus,
    nodes_without,
    versions_on,
)
from cluster.deploy.engine_in_use import EngineInUse
from cluster.engines.adapter import adapter_names
from cluster.errors import BadInput
from cluster.inventory import Node
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan


def engine_for(plan: Plan) -> EngineInUse:
    """Return the engine that would run a layout of `plan`, beside the one that the plan was made for.

    They differ on a simulated cluster only, where a stand-in runs.
    """
    planned_for = f"{plan.engine_name} {plan.engine_version}"
    if plan.cluster.simulated:
        return EngineInUse(name=BUILTIN, version=load_engine(BUILTIN).version, planned_for=planned_for)
    return EngineInUse(name=plan.engine_name, version=plan.engine_version, planned_for=planned_for)


def runs_servers(plan: Plan) -> bool:
    """Return whether a deployment of `plan` starts an engine's own servers, not the built-in engine."""
    return not plan.cluster.simulated and plan.engine_name != BUILTIN


def check_engine_asked(request: PlanRequest) -> None:
    """Raise BadInput for an engine, or a version of the built-in one, that no cluster could run."""
    if not is_startable(request.engine):
        startable = " or ".join((BUILTIN, *adapter_names()))
        raise BadInput(
            f"{request.engine} can be planned for but not deployed",
            f"Deploy with --engine {startable}, or plan: clusterview --dry-run --engine {request.engine}",
        )
    own = load_engine(BUILTIN).version
    if request.engine == BUILTIN and request.engine_version not in (None, own):
        raise BadInput(
            f"the built-in engine can only be deployed in version {own}, not {request.engine_version}",
            "Deploy without --engine-version, or plan with it: clusterview --dry-run",
        )


def check_installed(plan: Plan, candidate: Candidate) -> None:
    """Raise BadInput unless the planned version is installed on the layout's nodes, as far as is known."""
    engine, version = plan.engine_name, plan.engine_version
    if _is_everywhere(plan):
        return  # without placing the ranks of a large cluster
    ids = {place.node for place in candidate.placement}
    nodes = [node for node in plan.cluster.nodes if node.node_id in ids]
    without = nodes_without(engine, nodes)
    if without:
        raise BadInput(_missing(engine, without), install_hint(engine))
    installed = versions_on(engine, nodes)
    if len(installed) > 1:
        listed = "; ".join(f"{found} on {named(names)}" for found, names in installed.items())
        raise BadInput(
            f"the nodes of this layout have different versions of {engine}: {listed}",
            "Install the same version on all of them",
        )
    other = next((found for found in installed if not is_same_release(found, version)), None)
    if other is not None:
        raise BadInput(
            f"{engine} {version} is not installed: {other} is ({named(installed[other])})",
            f"Leave out --engine-version to plan for {other}, or install {engine} {version} there",
        )


def _is_everywhere(plan: Plan) -> bool:
    """Return whether nothing is known against starting the planned version on any node."""
    engine, nodes = plan.engine_name, nodes_with_gpus(plan.cluster)
    versions = versions_on(engine, nodes)
    return not nodes_without(engine, nodes) and all(
        is_same_release(found, plan.engine_version) for found in versions
    )


def _missing(engine: str, nodes: Sequence[Node]) -> str:
    errors = dict.fromkeys(node.engines_error for node in nodes if node.engines_error)
    why = f" ({'; '.join(errors)})" if errors else ""
    return f"{engine} is not installed on {named([node.name for node in nodes])}{why}"


def install_hint(engine: str) -> str:
    """Return how to get an engine onto the nodes."""
    return (
        f"Install it there with the nodes' Python (python -m pip install {engine}), name the interpreter "
        f"that has it with --engine-python PATH, or deploy with --engine {BUILTIN}"
    )

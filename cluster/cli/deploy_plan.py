"""From the options of `deploy` to an order: the same for a deployment and for its dry run."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from typing import TYPE_CHECKING

from cluster.cli.defaults import read_defaults
from cluster.cli.ray_inventory import check_has_gpus, say_troubles
from cluster.cli.resolve import check_lengths, model_from, request_from
from cluster.cli.session_view import say
from cluster.deploy.api_keys import hashed_keys
from cluster.deploy.request_check import check_asked
from cluster.errors import BadInput, DeployFailed
from cluster.inventory import Cluster
from cluster.planner.request import EngineName

if TYPE_CHECKING:
    from cluster.deploy.spec import DeploymentSpec
    from cluster.planner.result import Candidate, Plan


def check_options(arguments: argparse.Namespace, *, simulated: bool) -> None:
    """Raise BadInput for what no cluster could change: options that are not honoured, an unknown model."""
    request = request_from(arguments)
    check_asked(request, simulated=simulated)
    check_lengths(request, model_from(arguments))
    hashed_keys(arguments.api_key or (), arguments.api_key_file)
    if arguments.top is not None and not arguments.dry_run:
        say("--top has no effect here: it says how many layouts --dry-run prints")
    if arguments.model is None:
        say(f"no --model given, deploying {read_defaults().models[0]}")


def plan_on(arguments: argparse.Namespace, cluster: Cluster, title: str) -> Plan:
    """Plan for the engine that was named; without one for vLLM where stand-ins run, else for our own.

    `title` names the cluster in the BadInput that says that it has no GPU.
    """
    from cluster.planner.plan import plan

    example = read_defaults().simulated_cluster
    check_has_gpus(cluster, title, f"Try --simulate {example} or --address HOST:PORT")
    say_troubles(cluster)
    # On a simulated cluster a stand-in runs for any model, so the plan may be for any engine.
    engine: EngineName = "vllm" if cluster.simulated else "builtin"
    return plan(cluster, model_from(arguments), request_from(arguments, engine))


def choose(plan: Plan, simulated: bool) -> Candidate:
    """Return the best layout that can be started; DeployFailed says by how much none fits."""
    from cluster.deploy.make_spec import is_runnable

    candidate = next((item for item in plan.candidates if is_runnable(item, simulated)), plan.recommended)
    if candidate is None:
        advice = "; ".join(plan.advice[:2])
        # The planner knows engines that this product plans for and does not start.
        elsewhere = any(name == "engine" for fix in plan.fixes[:1] for name, _ in fix.options)
        more = "; other engines are for planning only, they cannot be started" if elsewhere else ""
        raise DeployFailed(f"{plan.model.name}: no layout fits", advice + more)
    if plan.recommended is not None and candidate.layout != plan.recommended.layout:
        say(f"{plan.recommended.label} would be better, but the built-in engine does not run it")
    return candidate


def check_name(arguments: argparse.Namespace, taken: Collection[str]) -> None:
    """Refuse a name that a deployment has: with it may go the GPUs that the plan would name as missing."""
    if arguments.name in taken:
        raise BadInput(f"there is a deployment named {arguments.name} already", "Stop it, or choose a name")


def order_from(
    arguments: argparse.Namespace, plan: Plan, candidate: Candidate, taken: Collection[str]
) -> DeploymentSpec:
    """Return the order for a layout; `taken` are the names of deployments that there are."""
    from cluster.deploy.make_spec import spec_from
    from cluster.deploy.model_choice import path_named

    check_name(arguments, taken)
    return spec_from(
        plan,
        candidate,
        model_path=path_named(arguments.model),
        simulated=plan.cluster.simulated,
        name=arguments.name,
        taken=taken,
        router_port=arguments.port or 0,
        api_key_sha256=hashed_keys(arguments.api_key or (), arguments.api_key_file),
        allowed_hosts=tuple(arguments.allowed_host or ()),
    )


def describe_weights(spec: DeploymentSpec) -> str:
    """Say where the weights come from: a folder, the nodes' hub caches, or nowhere."""
    if spec.model.weights == "dummy":
        return "DUMMY WEIGHTS"
    return f"weights of {spec.model.path}" if spec.model.path else "weights of each node's hub cache"


def describe_engine(spec: DeploymentSpec) -> str:
    """Say which engine runs and, where it is another, for which one the layout was planned."""
    runs = f"{spec.engine} {spec.engine_version}".rstrip()
    return runs if spec.planned_for in ("", runs) else f"{runs}, planned for {spec.planned_for}"

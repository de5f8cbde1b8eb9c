"""From the options of `deploy` to an order: the same for a deployment and for its dry run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Collection
from dataclasses import dataclass

from cluster.catalog.model_spec import ModelSpec
from cluster.cli.defaults import read_defaults
from cluster.cli.ray_inventory import check_has_gpus, say_troubles
from cluster.cli.resolve import check_lengths, model_from, request_from
from cluster.cli.session_view import say
from cluster.deploy.api_keys import hashed_keys
from cluster.deploy.order import BUILTIN, OrderTerms, check_request, choose_candidate, make_order
from cluster.deploy.spec import DeploymentSpec
from cluster.inventory import Cluster
from cluster.planner.request import EngineName
from cluster.planner.result import Candidate, Plan


@dataclass(frozen=True, slots=True)
class CheckedOptions:
    """What the options name, read once: a checkpoint's headers and a key file are not read again to plan."""

    model: ModelSpec
    api_key_sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """A plan, the layout that was chosen from it, and the order made of that."""

    plan: Plan
    candidate: Candidate
    spec: DeploymentSpec


def check_options(arguments: argparse.Namespace, *, simulated: bool) -> CheckedOptions:
    """Return what the options name.

    Raises BadInput for what no cluster could change: options that are not honored, an unknown model.
    """
    request = request_from(arguments)
    check_request(request, simulated=simulated)
    model = model_from(arguments)
    check_lengths(request, model)
    keys = hashed_keys(arguments.api_key or (), arguments.api_key_file)
    if arguments.top is not None and not arguments.dry_run:
        say("--top has no effect here: it sets how many layouts --dry-run prints")
    if arguments.model is None:
        say(f"no --model given, deploying {read_defaults().models[0]}")
    return CheckedOptions(model, keys)


def plan_on(arguments: argparse.Namespace, options: CheckedOptions, cluster: Cluster, title: str) -> Plan:
    """Plan for the engine that was named; without one for vLLM where stand-ins run, else for our own.

    `title` names the cluster in the BadInput that says that it has no GPU.
    """
    from cluster.planner.plan import plan

    example = read_defaults().simulated_cluster
    check_has_gpus(cluster, title, f"Try --simulate {example} or --address HOST:PORT")
    say_troubles(cluster)
    # On a simulated cluster a stand-in runs for any model, so the plan may be for any engine.
    engine: EngineName = "vllm" if cluster.simulated else BUILTIN
    return plan(cluster, options.model, request_from(arguments, engine))


def order_from(
    arguments: argparse.Namespace, options: CheckedOptions, plan: Plan, taken: Collection[str]
) -> PlannedOrder:
    """Return the order for the best layout that can be started; `taken` are the names of deployments.

    Raises DeployFailed where none fits.
    """
    candidate = choose_candidate(plan)
    if plan.recommended is not None and candidate.layout != plan.recommended.layout:
        say(f"{plan.recommended.label} would be better, but the built-in engine does not support it")
    terms = OrderTerms(
        created_at_s=time.time(),
        taken_names=taken,
        name=arguments.name,
        router_port=arguments.port or 0,
        api_key_sha256=options.api_key_sha256,
        allowed_hosts=tuple(arguments.allowed_host or ()),
    )
    return PlannedOrder(plan, candidate, make_order(plan, candidate, terms))


def describe_weights(spec: DeploymentSpec) -> str:
    """Say where the weights come from: a folder, the nodes' hub caches, or nowhere."""
    if spec.model.weights == "dummy":
        return "DUMMY WEIGHTS"
    return f"weights from {spec.model.path}" if spec.model.path else "weights from each node's hub cache"

"""From the options of `deploy` to an order: the same for a deployment and for its dry run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Collection
from dataclasses import dataclass

from cluster.catalog.model_spec import ModelSpec
from cluster.cli.defaults import read_defaults
from cluster.cli.ray_inventory import check_has_gpus, say_troubles
from cluster.cli.resolve import check_lengths, engine_pythons_from, model_from, request_from
from cluster.cli.session_view import say
from cluster.deploy.api_keys import API_KEY_VARIABLE, hashed_keys
from cluster.deploy.listen_address import is_loopback
from cluster.deploy.order import (
    BUILTIN,
    LOOPBACK,
    OrderTerms,
    check_request,
    choose_candidate,
    choose_engine,
    make_order,
    why_not_runnable,
)
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput
from cluster.inventory import Cluster
from cluster.planner.result import Candidate, Plan


@dataclass(frozen=True, slots=True)
class CheckedOptions:
    """What the options name, read once: a checkpoint's headers and a key file are not read again to plan."""

    model: ModelSpec
    api_key_sha256: tuple[str, ...]
    engine_pythons: dict[str, str]
    """Engine -> interpreter on the nodes."""


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
    _check_host(arguments.host, keys)
    if arguments.top is not None and not arguments.dry_run:
        say("--top has no effect here: it sets how many layouts --dry-run prints")
    if arguments.model is None:
        say(f"no --model given, deploying {read_defaults().models[0]}")
    return CheckedOptions(model, keys, engine_pythons_from(arguments))


def _check_host(host: str | None, keys: tuple[str, ...]) -> None:
    if host is not None and not keys and not is_loopback(host):
        raise BadInput(
            f"--host {host} lets other machines reach the endpoint, which needs an API key",
            f"Set {API_KEY_VARIABLE} or --api-key-file FILE, or leave out --host",
        )


def plan_on(arguments: argparse.Namespace, options: CheckedOptions, cluster: Cluster, title: str) -> Plan:
    """Plan for the engine that would run: the one that was named, else what the nodes have.

    `title` names the cluster in the BadInput that says that it has no GPU.
    """
    from cluster.planner.plan import plan

    example = read_defaults().simulated_cluster
    check_has_gpus(cluster, title, f"Try --simulate {example} or --address HOST:PORT")
    say_troubles(cluster)
    choice = choose_engine(request_from(arguments), cluster, options.model)
    if choice.said and choice.request.engine != BUILTIN:  # the order says why the built-in engine runs
        say(choice.said)
    return plan(cluster, options.model, choice.request)


def order_from(
    arguments: argparse.Namespace, options: CheckedOptions, plan: Plan, taken: Collection[str]
) -> PlannedOrder:
    """Return the order for the best layout that can be started; `taken` are the names of deployments.

    Raises DeployFailed where none fits.
    """
    candidate = choose_candidate(plan)
    if plan.recommended is not None and candidate.layout != plan.recommended.layout:
        error = why_not_runnable(plan, plan.recommended)
        reason = f": {error.message.removeprefix(f'{plan.recommended.label}: ')}" if error else ""
        say(f"{plan.recommended.label} would be better, but cannot be deployed{reason}")
    terms = OrderTerms(
        created_at_s=time.time(),
        taken_names=taken,
        name=arguments.name,
        router_host=arguments.host or LOOPBACK,
        router_port=arguments.port or 0,
        api_key_sha256=options.api_key_sha256,
        allowed_hosts=tuple(arguments.allowed_host or ()),
        engine_pythons=options.engine_pythons,
        engine_args=tuple(arguments.engine_arg or ()),
    )
    return PlannedOrder(plan, candidate, make_order(plan, candidate, terms))


def describe_interpreter(spec: DeploymentSpec) -> str:
    """Say which interpreter on the nodes runs the engine's servers; '' for the built-in engine."""
    if spec.server is None:
        return ""
    return f", with {spec.server.python}" if spec.server.python else ", with each node's own Python"


def describe_weights(spec: DeploymentSpec) -> str:
    """Say where the weights come from: a folder, the nodes' hub caches, or nowhere."""
    if spec.model.weights == "dummy":
        return "DUMMY WEIGHTS"
    return f"weights from {spec.model.path}" if spec.model.path else "weights from each node's hub cache"

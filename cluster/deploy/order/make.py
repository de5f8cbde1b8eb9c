"""Make an order: what runs, on which GPUs, with how much KV cache, and under which name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster.deploy.order.choose import running_dtype, running_model, running_server
from cluster.deploy.order.engine import engine_for, runs_servers
from cluster.deploy.order.limits import limits_for
from cluster.deploy.order.predict import predicted_for
from cluster.deploy.order.ranks import rank_places
from cluster.deploy.order.remarks import remarks_on, server_remarks
from cluster.deploy.spec import DeploymentSpec, ServerPlan
from cluster.errors import BadInput
from cluster.planner.result import Candidate, Plan

LONGEST_NAME = 40
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What an order needs besides a plan and one of its layouts."""

    created_at_s: float
    """Now, in Unix time."""
    taken_names: Collection[str] = ()
    """Names of the deployments that exist."""
    name: str | None = None
    """None: a free name made from the model's."""
    router_host: str = LOOPBACK
    """Address that the router listens on."""
    router_port: int = 0
    """Port of the router; 0: a free one."""
    api_key_sha256: tuple[str, ...] = ()
    """Digests of the keys that the endpoint takes; empty: it asks for none."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that the router answers to besides the loopback ones."""
    engine_pythons: Mapping[str, str] = field(default_factory=dict)
    """Engine -> interpreter on the nodes that has it; an engine that is left out is in the nodes' Python."""
    engine_args: tuple[str, ...] = ()
    """Further arguments for the engine's server."""


def make_order(plan: Plan, candidate: Candidate, terms: OrderTerms) -> DeploymentSpec:
    """Turn a layout of `plan` into an order for the engine that the plan is for. Pure.

    On a simulated cluster the built-in engine runs a stand-in. Raises DeployFailed for a layout that is not
    feasible, BadInput for a name that is taken, for an engine that is not installed on the layout's nodes,
    and for an option, a layout or a model that the engine does not run.
    """
    check_name(terms.name, terms.taken_names)
    fields = (
        _of_servers(plan, candidate, terms) if runs_servers(plan) else _of_builtin(plan, candidate, terms)
    )
    estimate = candidate.estimate
    return DeploymentSpec(
        name=terms.name or free_name(plan.model.name, terms.taken_names),
        layout=candidate.layout,
        engine=engine_for(plan),
        simulated=plan.cluster.simulated,
        created_at_s=terms.created_at_s,
        predicted_tokens_per_s=estimate.throughput_tokens_per_s if estimate else None,
        router_host=terms.router_host,
        router_port=terms.router_port,
        api_key_sha256=terms.api_key_sha256,
        allowed_hosts=terms.allowed_hosts,
        **fields,
    )


def _of_servers(plan: Plan, candidate: Candidate, terms: OrderTerms) -> dict[str, Any]:
    """Return the fields of an order whose replicas are servers of the engine."""
    server = running_server(plan, candidate, terms.engine_args)
    launch = server.launch
    return {
        "model": server.model,
        "server": ServerPlan(launch=launch, python=terms.engine_pythons.get(plan.engine_name)),
        "ranks": rank_places(candidate, has_planned_layers=True),
        "device": launch.device,
        "dtype": running_dtype(plan),
        "max_model_len": launch.max_model_len or plan.model.max_position,
        "max_num_seqs": launch.max_num_seqs or 0,
        "predicted": predicted_for(plan, candidate),
        "remarks": server_remarks(plan, terms.engine_args),
    }


def _of_builtin(plan: Plan, candidate: Candidate, terms: OrderTerms) -> dict[str, Any]:
    """Return the fields of an order whose ranks run the built-in engine."""
    if terms.engine_args:
        raise BadInput(
            "--engine-arg is for an engine that runs as a server, the built-in engine has no arguments",
            "Leave it out, or deploy with another --engine",
        )
    simulated = plan.cluster.simulated
    model = running_model(plan, candidate)
    limits = limits_for(plan, candidate, model.max_position, running_dtype(plan))
    cache_tokens = None if simulated else limits.cache_tokens
    return {
        "model": model.source,
        "ranks": rank_places(candidate, cache_tokens, has_planned_layers=model.has_planned_layers),
        "device": "cpu" if simulated else "cuda",
        "dtype": limits.dtype,
        "max_model_len": limits.max_model_len,
        "max_num_seqs": limits.max_num_seqs,
        "predicted": predicted_for(plan, candidate, None if simulated else limits),
        "remarks": remarks_on(plan, candidate, limits),
    }


def check_name(name: str | None, taken: Collection[str]) -> None:
    """Raise BadInput for a name that a deployment already has."""
    if name in taken:
        raise BadInput(f"a deployment named {name} already exists", "Stop it or choose another name")


def free_name(model_name: str, taken: Collection[str]) -> str:
    """Return a short name such as 'llama-3.1-8b' for a deployment, with a number if it is taken."""
    last = model_name.rstrip("/").removesuffix("/config.json").rpartition("/")[2]
    base = re.sub(r"[^a-z0-9.]+", "-", last.lower()).strip("-.")[:LONGEST_NAME] or "model"
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name

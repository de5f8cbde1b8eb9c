"""Make an order: which model runs, on which GPUs, with how much KV cache, and under which name."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from cluster.deploy.order.choose import running_dtype, running_model
from cluster.deploy.order.engine import engine_for, judged_for_builtin
from cluster.deploy.order.limits import limits_for
from cluster.deploy.order.remarks import remarks_on
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.errors import BadInput
from cluster.planner.layout import Placement
from cluster.planner.result import Candidate, Plan

LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What an order needs besides a plan and one of its layouts."""

    created_at_s: float
    """Now, in Unix time."""
    taken_names: Collection[str] = ()
    """Names of the deployments that exist."""
    name: str | None = None
    """None: a free name made from the model's."""
    router_port: int = 0
    """Loopback port of the router; 0: a free one."""
    api_key_sha256: tuple[str, ...] = ()
    """Digests of the keys that the endpoint takes; empty: it asks for none."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that the router answers to besides the loopback ones."""


def make_order(plan: Plan, candidate: Candidate, terms: OrderTerms) -> DeploymentSpec:
    """Turn a layout of `plan` into an order for the built-in engine. Pure.

    Raises DeployFailed for a layout that is not feasible for the engine that runs it, BadInput for a name
    that is taken and for an option, a layout or a model that the built-in engine does not run.
    """
    check_name(terms.name, terms.taken_names)
    simulated = plan.cluster.simulated
    model = running_model(plan, candidate)
    limits = limits_for(plan, candidate, model.max_position, running_dtype(plan))
    if not simulated:
        candidate = judged_for_builtin(plan, candidate, limits)
    cache_tokens, estimate = None if simulated else limits.cache_tokens, candidate.estimate
    return DeploymentSpec(
        name=terms.name or free_name(plan.model.name, terms.taken_names),
        model=model.source,
        layout=candidate.layout,
        ranks=tuple(
            _rank_place(candidate, place, cache_tokens, model.has_planned_layers)
            for place in candidate.placement
        ),
        engine=engine_for(plan),
        device="cpu" if simulated else "cuda",
        dtype=limits.dtype,
        max_model_len=limits.max_model_len,
        max_num_seqs=limits.max_num_seqs,
        simulated=simulated,
        created_at_s=terms.created_at_s,
        predicted_tokens_per_s=estimate.throughput_tokens_per_s if estimate else None,
        router_port=terms.router_port,
        api_key_sha256=terms.api_key_sha256,
        allowed_hosts=terms.allowed_hosts,
        remarks=remarks_on(plan, candidate, limits),
    )


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


def _rank_place(
    candidate: Candidate, place: Placement, cache_tokens: int | None, has_planned_layers: bool
) -> RankPlace:
    return RankPlace(
        replica=place.replica,
        stage=place.stage,
        rank=place.rank,
        node_id=place.node,
        node_name=place.node_name,
        gpu_index=place.gpu_index,
        gpu_uuid=place.gpu_uuid,
        planned_bytes=_planned_bytes(candidate, place.stage, cache_tokens),
        layers=_layers(candidate, place.stage) if has_planned_layers else None,
    )


def _layers(candidate: Candidate, stage: int) -> tuple[int, int] | None:
    """Return the layers of a stage as planned: uneven if memory or the model's ends need it."""
    if len(candidate.stages) < 2:
        return None
    planned = candidate.stages[stage]
    return planned.first, planned.end


def _planned_bytes(candidate: Candidate, stage: int, cache_tokens: int | None) -> int | None:
    """Return what the rank will hold: the whole plan, or the plan with a cache of `cache_tokens`."""
    by_stage = candidate.memory_by_stage
    memory = by_stage[stage] if stage < len(by_stage) else candidate.memory_per_gpu
    if memory is None:
        return None
    if cache_tokens is None or not candidate.kv_cache_tokens:
        return memory.total_bytes
    cache_share = min(1.0, cache_tokens / candidate.kv_cache_tokens)
    return memory.fixed_bytes + round(cache_share * memory.kv_cache_bytes)

"""From a planned layout to an order: which model runs, on which GPUs, with how much cache."""

from __future__ import annotations

import re
import time
from collections.abc import Collection

from cluster.catalog.engine_catalog import load_engine
from cluster.deploy.model_choice import RunningModel, choose_model
from cluster.deploy.own_engine import OWN_ENGINE, judged_for_own_engine
from cluster.deploy.remarks import remarks_on
from cluster.deploy.request_check import check_asked
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.errors import BadInput, DeployFailed
from cluster.planner.result import Candidate, Plan

LONGEST_NAME = 40
_DEFAULT_MODEL_LEN = 4096
_SIMULATED_MODEL_LEN = 2048
_MOST_SEQUENCES = 64
_SIMULATED_SEQUENCES = 16


def spec_from(
    plan: Plan,
    candidate: Candidate,
    *,
    model_path: str | None = None,
    simulated: bool = False,
    name: str | None = None,
    taken: Collection[str] = (),
    router_port: int = 0,
    api_key_sha256: tuple[str, ...] = (),
    allowed_hosts: tuple[str, ...] = (),
) -> DeploymentSpec:
    """Turn a feasible layout into an order for the built-in engine.

    `model_path` is the model's folder or file, None for a name; `taken` are names already in use, which a
    made-up name avoids. Raises DeployFailed for a layout that does not hold, BadInput for an option, a layout
    or a model that the built-in engine does not run.
    """
    dtype = "fp32" if simulated else (plan.request.dtype or plan.model.dtype)
    check_asked(plan.request, simulated=simulated, dtype=dtype)
    _check_layout(candidate, simulated)
    layout = candidate.layout
    model = choose_model(plan, model_path, layout.tp, layout.pp, simulated=simulated)
    max_model_len = _max_model_len(plan, candidate, model, simulated)
    max_num_seqs = _max_num_seqs(plan, candidate, max_model_len, simulated)
    if not simulated and plan.engine_name != OWN_ENGINE:
        candidate = judged_for_own_engine(plan, candidate, max_model_len, max_num_seqs)
    estimate = candidate.estimate
    band = estimate.throughput_tokens_per_s if estimate is not None else None
    return DeploymentSpec(
        name=name or free_name(plan.model.name, taken),
        model=model.source,
        label=candidate.label,
        tp=layout.tp,
        pp=layout.pp,
        dp=layout.dp,
        ranks=_places(
            candidate,
            cache_tokens=None if simulated else max_num_seqs * max_model_len,
            has_planned_layers=model.has_planned_layers,
        ),
        engine_version=load_engine(OWN_ENGINE).version,
        planned_for=f"{plan.engine_name} {plan.engine_version}",
        device="cpu" if simulated else "cuda",
        dtype=dtype,
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
        simulated=simulated,
        created_at_s=time.time(),
        predicted_tokens_per_s=(band.value, band.low, band.high) if band is not None else None,
        router_port=router_port,
        api_key_sha256=api_key_sha256,
        allowed_hosts=allowed_hosts,
        remarks=remarks_on(plan, candidate, dtype, max_model_len, max_num_seqs, simulated=simulated),
    )


def free_name(model_name: str, taken: Collection[str]) -> str:
    """Return a short name such as 'llama-3.1-8b' for a deployment, with a number where it is taken."""
    last = model_name.rstrip("/").removesuffix("/config.json").rpartition("/")[2]
    base = re.sub(r"[^a-z0-9.]+", "-", last.lower()).strip("-.")[:LONGEST_NAME] or "model"
    number, name = 1, base
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def _check_layout(candidate: Candidate, simulated: bool) -> None:
    if not candidate.feasible or not candidate.placement:
        reason = candidate.rejections[0] if candidate.rejections else None
        raise DeployFailed(
            f"{candidate.label} does not hold: {reason.message if reason else 'it has no placement'}",
            reason.fix if reason else "Plan again",
        )
    if not is_runnable(candidate, simulated):
        raise BadInput(
            f"{candidate.label}: the built-in engine runs no expert parallelism",
            "Deploy TP, PP and DP",
        )


def is_runnable(candidate: Candidate, simulated: bool) -> bool:
    """True for a feasible layout that the built-in engine can run, or stand in for on a simulated cluster."""
    layout = candidate.layout
    return candidate.feasible and not layout.dp_attention and (simulated or layout.ep == 1)


def _max_model_len(plan: Plan, candidate: Candidate, model: RunningModel, simulated: bool) -> int:
    wanted = plan.request.max_model_len or _DEFAULT_MODEL_LEN
    if simulated:
        return min(wanted, _SIMULATED_MODEL_LEN, model.max_position)
    room = candidate.kv_cache_tokens or wanted
    return max(2, min(wanted, model.max_position, room))


def _max_num_seqs(plan: Plan, candidate: Candidate, max_model_len: int, simulated: bool) -> int:
    wanted = plan.request.max_num_seqs or _MOST_SEQUENCES
    if simulated:
        return min(wanted, _SIMULATED_SEQUENCES)
    room = candidate.kv_cache_tokens or max_model_len
    return max(1, min(wanted, room // max_model_len))


def _places(
    candidate: Candidate, cache_tokens: int | None, has_planned_layers: bool
) -> tuple[RankPlace, ...]:
    return tuple(
        RankPlace(
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
        for place in candidate.placement
    )


def _layers(candidate: Candidate, stage: int) -> tuple[int, int] | None:
    """Return the layers of a stage as planned: uneven where memory, or the ends of a model, ask for it."""
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

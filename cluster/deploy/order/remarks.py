"""How a deployment differs from the request or the plan, one sentence per difference."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_version import is_cpu_build
from cluster.deploy.engine_choice import BUILTIN, nodes_with_gpus, why_not_default
from cluster.deploy.order.limits import RankLimits
from cluster.deploy.order.request_check import planned_only
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from cluster.units import format_gib

_DEFAULT_ENGINE = PlanRequest().engine


def remarks_on(plan: Plan, candidate: Candidate, limits: RankLimits) -> tuple[str, ...]:
    """Return one sentence for each difference between the request and what starts with these limits."""
    request = plan.request
    found = [*_why_builtin(plan), *_length(plan, limits.max_model_len)]
    if request.max_num_seqs is not None and limits.max_num_seqs < request.max_num_seqs:
        found.append(f"{limits.max_num_seqs:,} sequences run at once (requested: {request.max_num_seqs:,})")
    simulated = plan.cluster.simulated
    found.extend(_stand_in(request, limits.dtype) if simulated else _cache(request, candidate))
    return tuple(found)


def server_remarks(plan: Plan, engine_args: tuple[str, ...]) -> tuple[str, ...]:
    """Return one sentence for each thing in which an engine's servers differ from the plan."""
    return tuple(_server(plan, engine_args))


def _server(plan: Plan, engine_args: tuple[str, ...]) -> Iterator[str]:
    if is_cpu_build(plan.engine_version):
        yield (
            f"{plan.engine_name} {plan.engine_version} is built for CPUs: the GPUs of the layout are claimed "
            "but stay idle, and the predictions do not apply"
        )
    if engine_args:
        yield f"{plan.engine_name} also gets {' '.join(engine_args)}, which the plan does not know"


def _why_builtin(plan: Plan) -> Iterator[str]:
    """Say why the built-in engine runs where nobody asked for it."""
    if plan.cluster.simulated or plan.request.engine_asked or plan.request.engine != BUILTIN:
        return
    reason = why_not_default(_DEFAULT_ENGINE, nodes_with_gpus(plan.cluster))
    if reason:
        yield f"{reason}: the built-in engine is used"


def _length(plan: Plan, max_model_len: int) -> Iterator[str]:
    wanted = plan.request.max_model_len or plan.model.max_position
    if max_model_len >= wanted:
        return
    if plan.request.max_model_len is not None:
        why = f"requested: {wanted:,}"
    else:
        change = "" if plan.cluster.simulated else "; --max-model-len changes it"
        why = f"the model supports {wanted:,}{change}"
    yield f"the maximum sequence length is {max_model_len:,} tokens ({why})"


def _cache(request: PlanRequest, candidate: Candidate) -> Iterator[str]:
    """The built-in engine allocates KV cache for max_num_seqs full-length sequences, and no more."""
    asked, memory = request.kv_cache_memory_bytes, candidate.memory_per_gpu
    if asked is not None and memory is not None and memory.kv_cache_bytes < asked:
        size, requested = format_gib(memory.kv_cache_bytes), format_gib(asked)
        yield (
            f"the KV cache takes {size} per GPU (requested: {requested}); raise --max-num-seqs to enlarge it"
        )


def _stand_in(request: PlanRequest, dtype: str) -> Iterator[str]:
    if request.engine_asked and request.engine != BUILTIN:
        yield f"a simulated cluster has no GPUs for {request.engine}: the built-in engine runs a stand-in"
    if request.dtype is not None and request.dtype != dtype:
        yield f"the stand-in computes in {dtype} (requested: {request.dtype})"
    options = planned_only(request, dtype)
    if options:
        yield f"the plan uses {' and '.join(options)}; the stand-in does not"

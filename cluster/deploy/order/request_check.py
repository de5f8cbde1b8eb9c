"""Whether a request can be deployed: the same checks for the screen and the command."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_catalog import load_engine
from cluster.deploy.engine_choice import BUILTIN
from cluster.deploy.order.engine import check_engine_asked
from cluster.errors import BadInput
from cluster.planner.launch import DTYPE_BYTES
from cluster.planner.request import PlanRequest

_AUTOMATIC = ("auto", "none")


def check_request(request: PlanRequest, *, simulated: bool, dtype: str | None = None) -> None:
    """Raise BadInput for every requested option that would not be honored; none is silently ignored.

    On a simulated cluster a stand-in runs, so the engine and options of memory and speed may shape the plan
    alone (`remarks_on` names them). An engine that cannot be started is refused there too. `dtype` is what
    the ranks compute in, None while the model is not known.
    """
    check_engine_asked(request)
    if request.workload == "training":
        raise BadInput("training can be planned but not deployed", "Plan with --dry-run")
    carries_out_all = simulated or request.engine != BUILTIN
    ignored = () if carries_out_all else planned_only(request, dtype)
    if ignored:
        raise BadInput(
            f"the built-in engine does not support {' and '.join(ignored)}",
            "Leave that out, or plan with it: clusterview --dry-run",
        )


def planned_only(request: PlanRequest, dtype: str | None) -> tuple[str, ...]:
    """Return the options, as typed, that shape a plan and that the built-in engine does not carry out."""
    return tuple(_planned_only(request, dtype))


def _planned_only(request: PlanRequest, dtype: str | None) -> Iterator[str]:
    engine = load_engine(BUILTIN)
    if request.quantization is not None and request.quantization not in _AUTOMATIC:
        yield f"--quantization {request.quantization}"
    if request.kv_cache_dtype not in (None, dtype) and (dtype or request.kv_cache_dtype not in DTYPE_BYTES):
        yield f"--kv-cache-dtype {request.kv_cache_dtype}"
    if request.decode_context_parallel > 1:
        yield f"--decode-context-parallel-size {request.decode_context_parallel}"
    share = engine.budget.default_utilization
    if request.gpu_memory_utilization is not None and request.gpu_memory_utilization > share:
        yield f"--gpu-memory-utilization {request.gpu_memory_utilization:g} (maximum {share:g})"
    chunk_tokens = engine.defaults.max_num_batched_tokens
    if request.max_num_batched_tokens not in (None, chunk_tokens):
        yield f"--max-num-batched-tokens {request.max_num_batched_tokens} (its steps are {chunk_tokens})"

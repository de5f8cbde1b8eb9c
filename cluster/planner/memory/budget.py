"""How much of a GPU an engine lets itself use, in each engine's own way."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.layout import Layout
from cluster.planner.memory.limits import EngineLimits
from cluster.planner.memory.overheads import Overheads
from cluster.planner.request import PlanRequest


def usable_total_bytes(gpu_total_bytes: int, engine: EngineProfile) -> int:
    """Return the total that CUDA reports: what NVML reports less what the driver keeps."""
    return max(0, gpu_total_bytes - int(engine.constants.get("driver_reserved_bytes", 0)))


def utilization(engine: EngineProfile, request: PlanRequest) -> float:
    """Return the user's memory fraction, else the engine's default."""
    asked = request.gpu_memory_utilization
    return engine.default_memory_utilization if asked is None else asked


def budget_bytes(
    engine: EngineProfile, request: PlanRequest, gpu_total_bytes: int, gpu_free_bytes: int
) -> int:
    """Return a GPU's budget as the engine's fraction alone gives it, before any model is known."""
    total = usable_total_bytes(gpu_total_bytes, engine)
    free = min(gpu_free_bytes, total)
    whole = free if engine.budget_rule == "fraction_of_free" else total
    return min(int(whole * utilization(engine, request)), free)


def rank_budget_bytes(
    engine: EngineProfile,
    request: PlanRequest,
    layout: Layout,
    limits: EngineLimits,
    parts: Overheads,
    weights_bytes: int,
    gpu_total_bytes: int,
    gpu_free_bytes: int,
    has_tower: bool = False,
) -> int:
    """Return what one rank may use, cache included, so that the cache is this less weights and overheads.

    fraction_of_total (vLLM): a fraction of the total, bounded by what other tenants leave; graphs that
    the engine captures after sizing its cache come on top. static_fraction (SGLang): a fraction of what is
    free after the collectives were set up is for weights and cache, all else lies beside it.
    fraction_of_free: a fraction of what is free now or, TensorRT-LLM, of what the loaded model leaves.
    """
    total = usable_total_bytes(gpu_total_bytes, engine)
    free = min(gpu_free_bytes, total)
    if engine.budget_rule == "static_fraction":
        static = (free - parts.non_torch_bytes) * _static_fraction(
            engine, request, layout, limits, gpu_total_bytes, has_tower
        )
        return int(static) + parts.total_bytes
    fraction = utilization(engine, request)
    if engine.budget_rule == "fraction_of_free":
        if engine.constants.get("fraction_after_load", 0):
            fixed = weights_bytes + parts.total_bytes
            return fixed + int((free - fixed) * fraction) if free > fixed else free
        return int(free * fraction)
    graphs = 0 if engine.graphs_inside_budget else parts.cuda_graph_bytes
    return min(int(total * fraction), free) + graphs


def _static_fraction(
    engine: EngineProfile,
    request: PlanRequest,
    layout: Layout,
    limits: EngineLimits,
    gpu_total_bytes: int,
    has_tower: bool,
) -> float:
    """Return the user's fraction, else what the engine reserves for prefill, graphs and large groups."""
    constants = engine.constants
    if request.gpu_memory_utilization is not None or not gpu_total_bytes:
        return utilization(engine, request)
    reserve = constants.get("reserve_base_bytes", 0)
    reserve += constants.get("reserve_token_bytes", 0) * limits.max_num_batched_tokens
    reserve += constants.get("reserve_rank_bytes", 0) * layout.tp * layout.pp
    if gpu_total_bytes > constants.get("reserve_least_above_bytes", float("inf")):
        reserve = max(reserve, constants.get("reserve_least_bytes", 0))
    share = constants.get("vision_static_share", 1.0) if has_tower else 1.0
    fraction = 1 - reserve / gpu_total_bytes if reserve else utilization(engine, request)
    return max(0.05, share * fraction)


def startup_free_bytes(engine: EngineProfile, request: PlanRequest, gpu_total_bytes: int) -> int:
    """Return how much must be free when the engine starts; 0 where it makes no such check."""
    if engine.budget_rule != "fraction_of_total":
        return 0
    return int(usable_total_bytes(gpu_total_bytes, engine) * utilization(engine, request))

"""How much of a GPU an engine lets itself use, in each engine's own way."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.memory.on_gpu import RankOnGpu
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


def rank_budget_bytes(rank: RankOnGpu, parts: Overheads, weights_bytes: int) -> int:
    """Return what one rank may use, cache included, so that the cache is this less weights and overheads.

    fraction_of_total (vLLM): a fraction of the total, bounded by what other tenants leave; graphs that
    the engine captures after sizing its cache come on top. static_fraction (SGLang): a fraction of what is
    free after the collectives were set up is for weights and cache, all else lies beside it.
    fraction_of_free: a fraction of what is free now or, TensorRT-LLM, of what the loaded model leaves.
    A size given by hand replaces all of them, as in vLLM; what is free still bounds it.
    """
    engine, request = rank.engine, rank.request
    total = usable_total_bytes(rank.total_bytes, engine)
    free = min(rank.free_bytes, total)
    fixed = weights_bytes + parts.total_bytes
    if request.kv_cache_memory_bytes is not None:
        return min(fixed + request.kv_cache_memory_bytes, free)
    if engine.budget_rule == "static_fraction":
        return int((free - parts.non_torch_bytes) * _static_fraction(rank)) + parts.total_bytes
    fraction = utilization(engine, request)
    if engine.budget_rule == "fraction_of_free":
        if rank.constant("fraction_after_load"):
            return fixed + int((free - fixed) * fraction) if free > fixed else free
        return int(free * fraction)
    graphs = 0 if engine.graphs_inside_budget else parts.cuda_graph_bytes
    return min(int(total * fraction), free) + graphs


def _static_fraction(rank: RankOnGpu) -> float:
    """Return the user's fraction, else what the engine reserves for prefill, graphs and large groups."""
    if rank.request.gpu_memory_utilization is not None or not rank.total_bytes:
        return utilization(rank.engine, rank.request)
    reserve = rank.constant("reserve_base_bytes")
    reserve += rank.constant("reserve_token_bytes") * rank.limits.max_num_batched_tokens
    reserve += rank.constant("reserve_rank_bytes") * rank.layout.tp * rank.layout.pp
    if rank.total_bytes > rank.constant("reserve_least_above_bytes", float("inf")):
        reserve = max(reserve, rank.constant("reserve_least_bytes"))
    share = rank.constant("vision_static_share", 1.0) if rank.model.vision is not None else 1.0
    fraction = 1 - reserve / rank.total_bytes if reserve else utilization(rank.engine, rank.request)
    return max(0.05, share * fraction)


def startup_free_bytes(engine: EngineProfile, request: PlanRequest, gpu_total_bytes: int) -> int:
    """Return how much must be free when the engine starts; 0 where it makes no such check."""
    if engine.budget_rule != "fraction_of_total":
        return 0
    return int(usable_total_bytes(gpu_total_bytes, engine) * utilization(engine, request))

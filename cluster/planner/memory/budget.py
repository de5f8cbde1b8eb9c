"""How much of a GPU an engine lets itself use, in each engine's own way."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.start import StaticFraction, StaticReserve
from cluster.catalog.gpu_spec import DRIVER_RESERVED_BYTES
from cluster.planner.memory.on_gpu import RankOnGpu
from cluster.planner.memory.overheads import Overheads
from cluster.planner.request import PlanRequest

_OF_FREE = ("fraction_of_free", "fraction_of_free_after_loading")


def usable_total_bytes(gpu_total_bytes: int) -> int:
    """Return the total that CUDA reports: what NVML reports less what the driver keeps."""
    return max(0, gpu_total_bytes - DRIVER_RESERVED_BYTES)


def utilization(engine: EngineProfile, request: PlanRequest) -> float:
    """Return the user's memory fraction, else the engine's default."""
    asked = request.gpu_memory_utilization
    return engine.budget.default_utilization if asked is None else asked


def budget_bytes(
    engine: EngineProfile, request: PlanRequest, gpu_total_bytes: int, gpu_free_bytes: int
) -> int:
    """Return a GPU's budget as the engine's fraction alone gives it, before any model is known."""
    total = usable_total_bytes(gpu_total_bytes)
    free = min(gpu_free_bytes, total)
    whole = free if engine.budget.rule in _OF_FREE else total
    return min(int(whole * utilization(engine, request)), free)


def rank_budget_bytes(rank: RankOnGpu, parts: Overheads, weights_bytes: int) -> int:
    """Return what one rank may use, cache included, so that the cache is this less weights and overheads.

    fraction_of_total (vLLM): a fraction of the total, bounded by what other tenants leave; graphs that
    the engine captures after sizing its cache come on top. static_fraction (SGLang): a fraction of what is
    free after the collectives were set up is for weights and cache, all else lies beside it.
    fraction_of_free: a fraction of what is free now; fraction_of_free_after_loading (TensorRT-LLM): of what
    the loaded model leaves.
    A size given by hand replaces all of them, as in vLLM; what is free still bounds it.
    """
    engine, request = rank.engine, rank.request
    total = usable_total_bytes(rank.total_bytes)
    free = min(rank.free_bytes, total)
    fixed = weights_bytes + parts.total_bytes
    if request.kv_cache_memory_bytes is not None:
        return min(fixed + request.kv_cache_memory_bytes, free)
    if engine.budget.static is not None:
        fraction = _static_fraction(rank, engine.budget.static)
        return int((free - parts.non_torch_bytes) * fraction) + parts.total_bytes
    fraction = utilization(engine, request)
    if engine.budget.rule == "fraction_of_free_after_loading":
        return fixed + int((free - fixed) * fraction) if free > fixed else free
    if engine.budget.rule == "fraction_of_free":
        return int(free * fraction)
    graphs = 0 if engine.budget.graphs_inside else parts.cuda_graph_bytes
    return min(int(total * fraction), free) + graphs


def _static_fraction(rank: RankOnGpu, static: StaticFraction) -> float:
    """Return the user's fraction, else what the engine reserves for prefill, graphs and large groups."""
    fraction = utilization(rank.engine, rank.request)
    if rank.request.gpu_memory_utilization is not None or not rank.total_bytes:
        return fraction
    if static.reserve is not None:
        fraction = 1 - _reserve_bytes(rank, static.reserve) / rank.total_bytes
    share = static.vision_share if rank.model.vision is not None else 1.0
    return max(0.05, share * fraction)


def _reserve_bytes(rank: RankOnGpu, reserve: StaticReserve) -> int:
    size = reserve.base_bytes
    size += reserve.per_batched_token_bytes * rank.limits.max_num_batched_tokens
    size += reserve.per_rank_bytes * rank.layout.tp * rank.layout.pp
    if rank.total_bytes > reserve.large_gpu_above_bytes:
        size = max(size, reserve.large_gpu_min_bytes)
    return size


def startup_free_bytes(engine: EngineProfile, request: PlanRequest, gpu_total_bytes: int) -> int:
    """Return how much must be free when the engine starts; 0 where it makes no such check."""
    if engine.budget.rule != "fraction_of_total":
        return 0
    return int(usable_total_bytes(gpu_total_bytes) * utilization(engine, request))

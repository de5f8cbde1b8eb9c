"""How much of a GPU's memory each engine allows itself to use."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.start import StaticFraction, StaticReserve
from cluster.planner.launch import Launch
from cluster.planner.memory.overheads import Overheads
from cluster.planner.replica import Rank, RankGpu, Replica

_OF_FREE = ("fraction_of_free", "fraction_of_free_after_loading")


def budget_bytes(engine: EngineProfile, launch: Launch, gpu: RankGpu) -> int:
    """Return a GPU's budget by the engine's memory fraction alone, before any model is known."""
    free = gpu.usable_free_bytes
    whole = free if engine.budget.rule in _OF_FREE else gpu.usable_total_bytes
    return min(int(whole * launch.gpu_memory_utilization), free)


def rank_budget_bytes(replica: Replica, rank: Rank, parts: Overheads, weights_bytes: int) -> int:
    """Return the bytes one rank may use, KV cache included: the cache is this minus weights and overheads.

    fraction_of_total (vLLM): a fraction of the total, bounded by what other tenants leave; CUDA graphs that
    the engine captures after sizing its cache come on top. static_fraction (SGLang): a fraction of what is
    free after the collectives are set up is for weights and cache; everything else comes on top.
    fraction_of_free: a fraction of what is free now; fraction_of_free_after_loading (TensorRT-LLM): of what
    the loaded model leaves.
    A cache size set by the user replaces all of them, as in vLLM, still bounded by free memory.
    """
    budget, launch, free = replica.engine.budget, replica.launch, rank.gpu.usable_free_bytes
    fixed = weights_bytes + parts.total_bytes
    if launch.kv_cache_memory_bytes is not None:
        return min(fixed + launch.kv_cache_memory_bytes, free)
    if budget.static is not None:
        fraction = _static_fraction(replica, rank, budget.static)
        return int((free - parts.non_torch_bytes) * fraction) + parts.total_bytes
    fraction = launch.gpu_memory_utilization
    if budget.rule == "fraction_of_free_after_loading":
        return fixed + int((free - fixed) * fraction) if free > fixed else free
    if budget.rule == "fraction_of_free":
        return int(free * fraction)
    graphs = 0 if budget.graphs_inside else parts.cuda_graph_bytes
    return min(int(rank.gpu.usable_total_bytes * fraction), free) + graphs


def _static_fraction(replica: Replica, rank: Rank, static: StaticFraction) -> float:
    """Return the user's fraction, else what the engine reserves for prefill, graphs and large groups."""
    launch, total = replica.launch, rank.gpu.total_bytes
    fraction = launch.gpu_memory_utilization
    if not launch.utilization_is_default or not total:
        return fraction
    if static.reserve is not None:
        fraction = 1 - _reserve_bytes(replica, total, static.reserve) / total
    share = static.vision_share if replica.model.vision is not None else 1.0
    return max(0.05, share * fraction)


def _reserve_bytes(replica: Replica, gpu_total_bytes: int, reserve: StaticReserve) -> int:
    size = reserve.base_bytes
    size += reserve.per_batched_token_bytes * replica.launch.max_num_batched_tokens
    size += reserve.per_rank_bytes * replica.layout.tp * replica.layout.pp
    if gpu_total_bytes > reserve.large_gpu_above_bytes:
        size = max(size, reserve.large_gpu_min_bytes)
    return size


def startup_free_bytes(engine: EngineProfile, launch: Launch, gpu: RankGpu) -> int:
    """Return how many bytes must be free when the engine starts; 0 if it does not check."""
    if engine.budget.rule != "fraction_of_total":
        return 0
    return int(gpu.usable_total_bytes * launch.gpu_memory_utilization)

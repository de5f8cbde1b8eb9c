"""The memory of one rank, itemised."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.budget import rank_budget_bytes
from cluster.planner.memory.limits import engine_limits
from cluster.planner.memory.on_gpu import RankOnGpu
from cluster.planner.memory.overheads import overheads
from cluster.planner.memory.stage_pool import stage_pool
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory


def rank_memory(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    request: PlanRequest,
    gpu_total_bytes: int,
    gpu_free_bytes: int,
    gpu: GpuSpec | None = None,
) -> RankMemory:
    """Return the memory of a stage's largest rank on a GPU with this total and this much free, in bytes.

    `gpu_total_bytes` is NVML's total. CUDA graphs stand in the sum whether or not the engine counts them
    inside its budget; where it does not, the budget is larger by them.
    """
    limits = engine_limits(model, engine, request, gpu_total_bytes, gpu)
    rank = RankOnGpu(model, layout, stage, engine, request, limits, gpu_total_bytes, gpu_free_bytes, gpu)
    capability = gpu.compute_capability if gpu else None
    weights = stage_weights_bytes(model, layout, stage, engine, capability)
    parts = overheads(rank)
    budget = rank_budget_bytes(rank, parts, weights)
    fixed = weights + parts.total_bytes
    kv_cache = max(0, budget - fixed)
    if engine.cache.contiguous:
        slot_bytes = stage_pool(model, layout, stage, engine, request, limits).sequence_bytes
        kv_cache = min(kv_cache, limits.max_num_seqs * slot_bytes)
    return RankMemory(
        total_bytes=fixed + kv_cache,
        budget_bytes=budget,
        weights_bytes=weights,
        activation_bytes=parts.activation_bytes,
        cuda_graph_bytes=parts.cuda_graph_bytes,
        non_torch_bytes=parts.non_torch_bytes,
        kv_cache_bytes=kv_cache,
    )

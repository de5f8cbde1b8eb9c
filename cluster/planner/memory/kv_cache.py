"""Cache tokens and requests that a layout holds, as its engine would report them."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import AttentionKind, ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.budget import utilization
from cluster.planner.memory.cache_layers import cache_layers
from cluster.planner.memory.cache_pool import CachePool, PoolRules, cache_pool
from cluster.planner.memory.limits import EngineLimits, engine_limits
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory


def kv_bytes_per_token(
    model: ModelSpec, layout: Layout, engine: EngineProfile, request: PlanRequest, context_tokens: int
) -> float:
    """Return cache bytes a token on one rank column (all stages together) at a context of this length.

    Latent caches and KV heads beyond TP are the same on every rank; windows and states make the figure fall
    as the context grows.
    """
    layers = cache_layers(model, layout.tp, 0, model.num_layers, engine, request)
    tokens = max(1, context_tokens)
    return sum(layer.sequence_bytes(tokens) * count for layer, count in layers) / tokens


def kv_cache_tokens(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    engine: EngineProfile,
    request: PlanRequest,
    limits: EngineLimits | None = None,
) -> int:
    """Return the tokens one replica's cache holds: of the stage with the least room.

    Under DP-attention it is one dp rank's, since each keeps its own requests. Hybrid models are told as vLLM
    tells them: requests of max_model_len that fit, times that length.
    """
    limits = limits or limits_of(model, engine, request, memories)
    per_stage = []
    for stage, memory in zip(stages, memories, strict=True):
        pool = stage_pool(model, layout, stage, engine, request, limits)
        if pool.blocks_per_sequence:
            per_stage.append(_tokens(pool, memory.kv_cache_bytes, limits.max_model_len, engine))
    return min(per_stage, default=0)


def max_concurrency(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    engine: EngineProfile,
    request: PlanRequest,
    limits: EngineLimits | None = None,
) -> float:
    """Return how many requests of max_model_len a replica's (under DP-attention a dp rank's) cache holds."""
    limits = limits or limits_of(model, engine, request, memories)
    per_stage = []
    for stage, memory in zip(stages, memories, strict=True):
        pool = stage_pool(model, layout, stage, engine, request, limits)
        if pool.blocks_per_sequence:
            per_stage.append(pool.num_blocks(memory.kv_cache_bytes) / pool.blocks_per_sequence)
    return min(per_stage, default=0.0)


def sequences_held(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    memories: Sequence[RankMemory],
    engine: EngineProfile,
    request: PlanRequest,
) -> float:
    """Return how many sequences of max_model_len the tightest stage's bytes are, parts of one included."""
    limits = limits_of(model, engine, request, memories)
    sizes = (sequence_bytes(model, layout, stage, engine, request, limits) for stage in stages)
    held = [memory.kv_cache_bytes / size for memory, size in zip(memories, sizes, strict=True) if size]
    return min(held, default=0.0)


def sequence_bytes(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    request: PlanRequest,
    limits: EngineLimits,
) -> int:
    """Return the cache bytes that one sequence of max_model_len takes on a stage's rank."""
    pool = stage_pool(model, layout, stage, engine, request, limits)
    return pool.block_bytes * pool.blocks_per_sequence


def stage_pool(
    model: ModelSpec,
    layout: Layout,
    stage: StageRange,
    engine: EngineProfile,
    request: PlanRequest,
    limits: EngineLimits,
) -> CachePool:
    """Return the pool of one stage's rank for requests of max_model_len."""
    layers = cache_layers(model, layout.tp, stage.first, stage.end, engine, request)
    contiguous = engine.constants.get("contiguous_cache", 0)
    rules = PoolRules(
        block_tokens=limits.max_model_len if contiguous else engine.block_tokens,
        in_flight_tokens=limits.max_num_batched_tokens,
        state_blocks=int(engine.constants.get("state_blocks", 1)),
        group_tolerance=engine.constants.get("group_tolerance", 1.25),
        page_step_tokens=int(engine.constants.get("latent_page_tokens", 0)) if _has_latent(model) else 0,
    )
    return cache_pool(layers, limits.max_model_len, rules)


def _has_latent(model: ModelSpec) -> bool:
    return any(layer.attention.kind is AttentionKind.LATENT for layer in model.layers)


def limits_of(
    model: ModelSpec, engine: EngineProfile, request: PlanRequest, memories: Sequence[RankMemory]
) -> EngineLimits:
    """Return the engine's limits where only the budgets are known: the total follows from the fraction."""
    budget = max((memory.budget_bytes for memory in memories), default=0)
    return engine_limits(model, engine, request, int(budget / max(utilization(engine, request), 0.01)))


def _tokens(pool: CachePool, cache_bytes: int, max_model_len: int, engine: EngineProfile) -> int:
    blocks = pool.num_blocks(cache_bytes)
    if pool.num_groups == 1 and not pool.holds_states_only:
        return blocks * pool.block_tokens
    if pool.holds_states_only or engine.constants.get("tokens_by_concurrency", 1):
        return int(blocks / pool.blocks_per_sequence * max_model_len)
    return blocks // pool.num_groups * pool.block_tokens

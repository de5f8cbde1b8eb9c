"""The cache pool of one pipeline stage under an engine's limits."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.kv_share import keeps_latent
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.cache_layers import cache_layers
from cluster.planner.memory.cache_pool import CachePool, PoolRules, cache_pool
from cluster.planner.memory.limits import EngineLimits
from cluster.planner.request import PlanRequest


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
    cache = engine.cache
    paged_latent = keeps_latent(model) and not cache.contiguous
    rules = PoolRules(
        block_tokens=limits.max_model_len if cache.contiguous else cache.block_tokens,
        in_flight_tokens=limits.max_num_batched_tokens,
        state_blocks=cache.state_blocks,
        page_step_tokens=cache.latent_page_tokens if paged_latent else 0,
    )
    return cache_pool(layers, limits.max_model_len, rules)

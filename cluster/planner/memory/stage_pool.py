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
    contiguous = engine.constants.get("contiguous_cache", 0)
    rules = PoolRules(
        block_tokens=limits.max_model_len if contiguous else engine.block_tokens,
        in_flight_tokens=limits.max_num_batched_tokens,
        state_blocks=int(engine.constants.get("state_blocks", 1)),
        group_tolerance=engine.constants.get("group_tolerance", 1.25),
        page_step_tokens=int(engine.constants.get("latent_page_tokens", 0)) if keeps_latent(model) else 0,
    )
    return cache_pool(layers, limits.max_model_len, rules)

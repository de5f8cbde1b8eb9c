"""How many requests a replica's cache holds, at the length this workload reaches."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.cache_layers import cache_element_bytes
from cluster.planner.memory.cache_pool import CachePool
from cluster.planner.memory.kv_cache import stated_in_requests
from cluster.planner.memory.limits import EngineLimits
from cluster.planner.memory.stage_pool import stage_pool
from cluster.planner.request import PlanRequest

_kept: IdentityCache[float] = IdentityCache()
_stated: IdentityCache[float] = IdentityCache()


def sequences_in_room(
    model: ModelSpec,
    layout: Layout,
    engine: EngineProfile,
    request: PlanRequest,
    limits: EngineLimits,
    kv_tokens: int,
    kept_tokens: float,
) -> float:
    """Return the sequences of `kept_tokens` that a pool stated as `kv_tokens` holds.

    Windows and states make a token dearer in a shorter sequence, so the pool is turned into bytes and divided
    by the bytes at this length.
    """
    pool_bytes = kv_tokens * stated_token_bytes(model, layout.tp, engine, request, limits)
    return pool_bytes / max(
        1.0, sequence_bytes(model, layout.tp, engine, request, max(1, round(kept_tokens)))
    )


def stated_token_bytes(
    model: ModelSpec, tp: int, engine: EngineProfile, request: PlanRequest, limits: EngineLimits
) -> float:
    """Return the bytes of the pool behind one of the tokens that the engine states.

    Engines state a hybrid pool as requests of max_model_len, whose windowed layers hold a window and the step
    in flight, or as blocks of each group of layers, as if no layer had a window.
    """
    key = (*_key(model, tp, engine, request), limits)

    def bytes_of_token() -> float:
        pool = _pool(model, tp, engine, request, limits)
        if stated_in_requests(pool, engine):
            return pool.sequence_bytes / max(1, limits.max_model_len)
        return pool.block_bytes * pool.num_groups / max(1, pool.block_tokens)

    return _stated.get(model, key, bytes_of_token)


def sequence_bytes(
    model: ModelSpec, tp: int, engine: EngineProfile, request: PlanRequest, tokens: int
) -> float:
    """Return the bytes of one rank's pool that a decoded sequence of `tokens` takes, whole blocks of it."""
    key = (*_key(model, tp, engine, request), tokens)

    def bytes_of_sequence() -> float:
        # A decoded sequence has one token in flight: windows were freed behind it.
        pool = _pool(model, tp, engine, request, EngineLimits(tokens, 1, 1))
        return float(pool.sequence_bytes)

    return _kept.get(model, key, bytes_of_sequence)


def _key(model: ModelSpec, tp: int, engine: EngineProfile, request: PlanRequest) -> tuple[object, ...]:
    element_bytes, ranks = cache_element_bytes(model, engine, request), request.decode_context_parallel
    return tp, engine.name, engine.version, element_bytes, request.kv_cache_dtype, ranks


def _pool(
    model: ModelSpec, tp: int, engine: EngineProfile, request: PlanRequest, limits: EngineLimits
) -> CachePool:
    whole = StageRange(0, 0, model.num_layers, True, True)
    return stage_pool(model, Layout(tp=tp), whole, engine, request, limits)

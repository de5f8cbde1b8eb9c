"""How many requests a replica's cache holds, at the length this workload reaches."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.memory import kv_bytes_per_token
from cluster.planner.memory.cache_layers import cache_element_bytes
from cluster.planner.request import PlanRequest

_bytes: IdentityCache[float] = IdentityCache()


def sequences_in_room(
    model: ModelSpec,
    layout: Layout,
    engine: EngineProfile,
    request: PlanRequest,
    kv_tokens: int,
    kept_tokens: float,
) -> float:
    """Return the sequences of `kept_tokens` that `kv_tokens` hold.

    Engines state the pool in tokens at max_model_len. Windows and states make a token dearer in a shorter
    sequence, so the pool is turned into bytes at the one length and divided by the bytes at the other.
    """
    pool_bytes = kv_tokens * cache_bytes_per_token(
        model, layout.tp, engine, request, request.max_model_len or model.max_position
    )
    kept = max(1, round(kept_tokens))
    return pool_bytes / max(1.0, kept * cache_bytes_per_token(model, layout.tp, engine, request, kept))


def cache_bytes_per_token(
    model: ModelSpec, tp: int, engine: EngineProfile, request: PlanRequest, context_tokens: int
) -> float:
    """Return cache bytes a token on one rank, remembered a model, degree and length."""
    element_bytes = cache_element_bytes(model, engine, request)
    key = (tp, engine.name, engine.version, element_bytes, context_tokens)
    return _bytes.get(
        model, key, lambda: kv_bytes_per_token(model, Layout(tp=tp), engine, request, context_tokens)
    )

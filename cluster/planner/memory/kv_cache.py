"""Cache tokens and requests that a layout holds, as its engine would report them."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout
from cluster.planner.memory.cache_layers import cache_layers
from cluster.planner.memory.cache_pool import CachePool
from cluster.planner.memory.replica import ReplicaMemory
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


def kv_cache_tokens(replica: ReplicaMemory) -> int:
    """Return the tokens one replica's cache holds: of the stage with the least room.

    Under DP-attention it is one dp rank's, since each keeps its own requests. Hybrid models are told as vLLM
    tells them: requests of max_model_len that fit, times that length.
    """
    per_stage = [
        _tokens(pool, memory.kv_cache_bytes, replica.limits.max_model_len, replica.engine)
        for pool, memory in _rooms(replica)
        if pool.blocks_per_sequence
    ]
    return min(per_stage, default=0)


def max_concurrency(replica: ReplicaMemory) -> float:
    """Return how many requests of max_model_len a replica's (under DP-attention a dp rank's) cache holds."""
    per_stage = [
        pool.num_blocks(memory.kv_cache_bytes) / pool.blocks_per_sequence
        for pool, memory in _rooms(replica)
        if pool.blocks_per_sequence
    ]
    return min(per_stage, default=0.0)


def sequences_held(replica: ReplicaMemory) -> float:
    """Return how many sequences of max_model_len the tightest stage's bytes are, parts of one included."""
    held = [
        memory.kv_cache_bytes / pool.sequence_bytes for pool, memory in _rooms(replica) if pool.sequence_bytes
    ]
    return min(held, default=0.0)


def _rooms(replica: ReplicaMemory) -> Iterable[tuple[CachePool, RankMemory]]:
    return zip(replica.pools, replica.memories, strict=True)


def stated_in_requests(pool: CachePool, engine: EngineProfile) -> bool:
    """Return whether the engine states a pool as requests of max_model_len, not as blocks of each group."""
    hybrid = pool.num_groups > 1 and engine.cache.capacity_in_requests
    return pool.holds_states_only or hybrid


def _tokens(pool: CachePool, cache_bytes: int, max_model_len: int, engine: EngineProfile) -> int:
    blocks = pool.num_blocks(cache_bytes)
    if stated_in_requests(pool, engine):
        return int(blocks / pool.blocks_per_sequence * max_model_len)
    return blocks // pool.num_groups * pool.block_tokens

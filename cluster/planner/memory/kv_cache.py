"""KV cache tokens and requests that fit a replica, as its engine would report them."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.memory.cache_layers import cache_layers
from cluster.planner.memory.cache_pool import CachePool
from cluster.planner.memory.replica_memory import ReplicaMemory
from cluster.planner.replica import Replica


def kv_bytes_per_token(replica: Replica, context_tokens: int) -> float:
    """Return KV cache bytes per token on one rank column (all stages together) at this context length.

    Latent caches, and KV heads when TP exceeds their number, are replicated; sliding windows and states make
    the figure fall as the context grows.
    """
    layers = cache_layers(replica, replica.whole_model)
    tokens = max(1, context_tokens)
    return sum(layer.sequence_bytes(tokens) * count for layer, count in layers) / tokens


def kv_cache_tokens(memory: ReplicaMemory) -> int:
    """Return the tokens that fit one replica's KV cache: those of the stage with the least room.

    Under DP-attention it is one dp rank's, since each keeps its own requests. Hybrid models are reported the
    way vLLM does: requests of max_model_len that fit, times that length.
    """
    engine, max_len = memory.replica.engine, memory.replica.launch.max_model_len
    per_stage = (
        _stated_tokens(pool, pool.num_blocks(rank.kv_cache_bytes), max_len, engine)
        for pool, rank in memory.stages
    )
    return min(per_stage, default=0)


def max_concurrency(memory: ReplicaMemory) -> float:
    """Return how many requests of max_model_len a replica's (DP-attention: a dp rank's) KV cache fits."""
    per_stage = (
        pool.num_blocks(rank.kv_cache_bytes) / pool.blocks_per_sequence for pool, rank in memory.stages
    )
    return min(per_stage, default=0.0)


def sequences_held(memory: ReplicaMemory) -> float:
    """Return how many sequences of max_model_len fit the tightest stage, as a fraction."""
    held = (rank.kv_cache_bytes / pool.sequence_bytes for pool, rank in memory.stages)
    return min(held, default=0.0)


def _stated_tokens(pool: CachePool, blocks: int, max_model_len: int, engine: EngineProfile) -> int:
    """Return the tokens an engine states for a pool: of hybrid models as requests of max_model_len, or as
    blocks of each group of layers."""
    hybrid = pool.num_groups > 1 and engine.cache.capacity_in_requests
    if pool.holds_states_only or hybrid:
        return int(blocks / pool.blocks_per_sequence * max_model_len)
    return blocks // pool.num_groups * pool.block_tokens

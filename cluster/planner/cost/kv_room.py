"""How many requests fit a replica's KV cache, at the length this workload reaches."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import StageRange
from cluster.planner.memory import ReplicaMemory
from cluster.planner.memory.cache_pool import decoded_pool
from cluster.planner.replica import Replica

_kept: IdentityCache[int] = IdentityCache()


def room_bytes(memory: ReplicaMemory) -> tuple[int, ...]:
    """Return the bytes of each stage's pool on one rank, in whole blocks."""
    pairs = zip(memory.pools, memory.ranks, strict=True)
    return tuple(pool.num_blocks(rank.kv_cache_bytes) * pool.block_bytes for pool, rank in pairs)


def sequences_in_room(replica: Replica, room: Sequence[int], kept_tokens: float) -> float:
    """Return the sequences of `kept_tokens` that pools of these bytes hold, over all attention ranks.

    Sliding windows and recurrent state make short sequences cost more per token, so bytes are divided by the
    bytes at this length; the stage with the least room decides.
    """
    tokens = max(1, round(kept_tokens))
    each = [sequence_bytes(replica, stage, tokens) for stage in replica.stages]
    held = min((size / need for size, need in zip(room, each, strict=True) if need), default=0.0)
    return replica.layout.attention_ranks * held


def sequence_bytes(replica: Replica, stage: StageRange, tokens: int) -> int:
    """Return the bytes that a decoded sequence of `tokens` takes in one rank's pool, in whole blocks."""
    engine, launch = replica.engine, replica.launch
    kept = (launch.cache_element_bytes, launch.packs_sparse_latents, launch.decode_context_parallel)
    key = (replica.layout.tp, stage.first, stage.end, tokens, engine.name, engine.version, kept)
    return _kept.get(replica.model, key, lambda: decoded_pool(replica, stage, tokens).sequence_bytes)

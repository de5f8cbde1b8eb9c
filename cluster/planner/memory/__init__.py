"""Memory per rank, itemised, and the cache tokens it leaves."""

from cluster.planner.memory.kv_cache import kv_bytes_per_token, kv_cache_tokens, max_concurrency
from cluster.planner.memory.limits import EngineLimits, engine_limits
from cluster.planner.memory.rank import rank_memory
from cluster.planner.memory.replica import ReplicaMemory
from cluster.planner.memory.training import TrainingMemory, training_memory

__all__ = [
    "EngineLimits",
    "ReplicaMemory",
    "TrainingMemory",
    "engine_limits",
    "kv_bytes_per_token",
    "kv_cache_tokens",
    "max_concurrency",
    "rank_memory",
    "training_memory",
]

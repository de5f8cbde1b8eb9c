"""Memory per rank, itemized, and the KV cache tokens it leaves room for."""

from cluster.planner.memory.kv_cache import kv_bytes_per_token, kv_cache_tokens, max_concurrency
from cluster.planner.memory.rank_memory import rank_memory
from cluster.planner.memory.replica_memory import ReplicaMemory, replica_memory, with_ranks
from cluster.planner.memory.training_memory import TrainingMemory, TrainingSetup, training_memory

__all__ = [
    "ReplicaMemory",
    "TrainingMemory",
    "TrainingSetup",
    "kv_bytes_per_token",
    "kv_cache_tokens",
    "max_concurrency",
    "rank_memory",
    "replica_memory",
    "training_memory",
    "with_ranks",
]

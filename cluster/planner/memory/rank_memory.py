"""The memory of one rank, itemized."""

from __future__ import annotations

from cluster.planner.memory.budget import rank_budget_bytes
from cluster.planner.memory.cache_pool import stage_pool
from cluster.planner.memory.overheads import overheads
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.replica import Rank, Replica
from cluster.planner.result import RankMemory


def rank_memory(replica: Replica, rank: Rank) -> RankMemory:
    """Return the memory of one of the replica's ranks on its GPU, in bytes.

    CUDA graphs are part of the total whether or not the engine counts them inside its budget; if it does not,
    the budget is larger by their size.
    """
    spec = rank.gpu.spec
    capability = spec.compute_capability if spec else None
    weights = stage_weights_bytes(replica.model, replica.layout, rank.stage, replica.engine, capability)
    parts = overheads(replica, rank)
    budget = rank_budget_bytes(replica, rank, parts, weights)
    fixed = weights + parts.total_bytes
    kv_cache = max(0, budget - fixed)
    if replica.engine.cache.contiguous:
        slot_bytes = stage_pool(replica, rank.stage).sequence_bytes
        kv_cache = min(kv_cache, replica.launch.max_num_seqs * slot_bytes)
    return RankMemory(
        total_bytes=fixed + kv_cache,
        budget_bytes=budget,
        weights_bytes=weights,
        activation_bytes=parts.activation_bytes,
        cuda_graph_bytes=parts.cuda_graph_bytes,
        non_torch_bytes=parts.non_torch_bytes,
        kv_cache_bytes=kv_cache,
    )

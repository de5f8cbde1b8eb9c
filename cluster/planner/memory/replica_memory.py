"""What a replica takes on its GPUs, and the KV cache that this leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cluster.planner.memory.cache_pool import CachePool, stage_pool
from cluster.planner.memory.rank_memory import rank_memory
from cluster.planner.replica import Replica
from cluster.planner.result import RankMemory


@dataclass(frozen=True, slots=True)
class ReplicaMemory:
    """A replica with the memory of each of its ranks."""

    replica: Replica
    ranks: tuple[RankMemory, ...]
    """Of each stage's largest rank."""
    pools: tuple[CachePool, ...]
    """The cache pool of each stage, for sequences of max_model_len."""

    @property
    def tightest(self) -> RankMemory:
        """The rank with the least memory left after weights and overheads."""
        return min(self.ranks, key=lambda rank: rank.budget_bytes - rank.fixed_bytes)

    @property
    def stages(self) -> Iterator[tuple[CachePool, RankMemory]]:
        """The pool and the memory of each stage that keeps a cache."""
        pairs = zip(self.pools, self.ranks, strict=True)
        return ((pool, rank) for pool, rank in pairs if pool.blocks_per_sequence)

    def at_length(self, max_model_len: int) -> ReplicaMemory:
        """Return the same memory with sequences of another length."""
        launch = self.replica.launch.at_length(max_model_len)
        return with_ranks(self.replica.started_with(launch), self.ranks)


def replica_memory(replica: Replica) -> ReplicaMemory:
    """Return the memory of a replica's ranks."""
    return with_ranks(replica, [rank_memory(replica, rank) for rank in replica.ranks])


def with_ranks(replica: Replica, ranks: Sequence[RankMemory]) -> ReplicaMemory:
    """Return the memory of a replica whose ranks' memory is known, as from an engine's log."""
    pools = tuple(stage_pool(replica, rank.stage) for rank in replica.ranks)
    return ReplicaMemory(replica, tuple(ranks), pools)

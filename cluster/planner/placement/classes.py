"""Classes of replicas judged together: same hardware and links, similar free memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from cluster.planner.placement.machines import Pool
from cluster.planner.placement.replicas import ReplicaSet

_BINS_OF_MEMORY = (16, 4, 1)
_MOST_CLASSES = 16


@dataclass(frozen=True, slots=True)
class ReplicaClass:
    """Replica sets that are judged together, by the least free memory among them."""

    sets: tuple[ReplicaSet, ...]
    frees: tuple[int, ...]
    """Least free bytes of each chunk over all sets."""

    @property
    def count(self) -> int:
        return sum(replicas.count for replicas in self.sets)

    @property
    def pools(self) -> tuple[Pool, ...]:
        return self.sets[0].pools

    @property
    def tightest(self) -> ReplicaSet:
        """The set with the least free memory on any chunk."""
        return min(self.sets, key=lambda replicas: min(replicas.frees))


def classify(sets: Sequence[ReplicaSet]) -> list[ReplicaClass]:
    """Group sets whose free memory differs by less than 1/16 of a GPU, more coarsely if that is too many."""
    alike: dict[Hashable, list[ReplicaSet]] = {}
    for bins in _BINS_OF_MEMORY:
        alike = defaultdict(list)
        for replicas in sets:
            alike[_key(replicas, bins)].append(replicas)
        if len(alike) <= _MOST_CLASSES:
            break
    return [gather(group) for group in alike.values()]


def gather(sets: Sequence[ReplicaSet]) -> ReplicaClass:
    """Make one class of these sets."""
    frees = tuple(min(column) for column in zip(*(replicas.frees for replicas in sets), strict=True))
    return ReplicaClass(tuple(sets), frees)


def _key(replicas: ReplicaSet, bins_of_memory: int) -> Hashable:
    bins = tuple(
        free * bins_of_memory // max(1, pool.total_bytes)
        for free, pool in zip(replicas.frees, replicas.pools, strict=True)
    )
    return (tuple(id(pool) for pool in replicas.pools), bins, replicas.num_machines)

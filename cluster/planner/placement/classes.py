"""Classes of replicas judged together: same hardware, links and health, similar free memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from cluster.planner.placement.condition import Condition
from cluster.planner.placement.machines import GpuPool
from cluster.planner.placement.replicas import EqualReplicas

_BINS_OF_MEMORY = (16, 4, 1)
_MOST_CLASSES = 16


@dataclass(frozen=True, slots=True)
class ReplicaClass:
    """Replica sets that are judged together, by the least free memory among them."""

    sets: tuple[EqualReplicas, ...]
    frees: tuple[int, ...]
    """Least free bytes of each TP group over all sets."""

    @property
    def count(self) -> int:
        return sum(replicas.count for replicas in self.sets)

    @property
    def pools(self) -> tuple[GpuPool, ...]:
        return self.sets[0].pools

    @property
    def condition(self) -> Condition:
        return self.sets[0].condition

    @property
    def tightest(self) -> EqualReplicas:
        """The set with the least free memory on any TP group."""
        return min(self.sets, key=lambda replicas: min(replicas.frees))


def classify(sets: Sequence[EqualReplicas]) -> list[ReplicaClass]:
    """Group sets whose free memory differs by less than 1/16 of a GPU, more coarsely if that is too many."""
    alike: dict[Hashable, list[EqualReplicas]] = {}
    for bins in _BINS_OF_MEMORY:
        alike = defaultdict(list)
        for replicas in sets:
            alike[_key(replicas, bins)].append(replicas)
        if len(alike) <= _MOST_CLASSES:
            break
    return [gather(group) for group in alike.values()]


def gather(sets: Sequence[EqualReplicas]) -> ReplicaClass:
    """Make one class of these sets."""
    frees = tuple(min(column) for column in zip(*(replicas.frees for replicas in sets), strict=True))
    return ReplicaClass(tuple(sets), frees)


def _key(replicas: EqualReplicas, bins_of_memory: int) -> Hashable:
    bins = tuple(
        free * bins_of_memory // max(1, pool.total_bytes)
        for free, pool in zip(replicas.frees, replicas.pools, strict=True)
    )
    return (tuple(id(pool) for pool in replicas.pools), bins, replicas.num_machines, replicas.condition)

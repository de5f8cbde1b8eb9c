"""Which degraded GPUs a layout uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.placement.condition import SOUND, Condition, worst
from cluster.planner.placement.replicas import EqualReplicas
from cluster.planner.placement.span import Placed

MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class DegradedUse:
    """The degraded GPUs among those of a layout."""

    num_gpus: int = 0
    named: tuple[tuple[str, int, str], ...] = ()
    """Of the first few: node name, index, and what is wrong."""
    condition: Condition = SOUND
    """What the worst of them leaves of the rates."""


NONE_DEGRADED = DegradedUse()


def degraded_use(cluster: Cluster, placed: Placed) -> DegradedUse:
    """Return which of these replicas' GPUs are degraded."""
    conditions = [replicas.condition for replicas, _ in placed]
    if not any(one.degraded for one in conditions):
        return NONE_DEGRADED
    count = 0
    named: list[tuple[str, int, str]] = []
    for node, gpu in _degraded(cluster, placed):
        count += 1
        if len(named) < MOST_NAMED:
            wrong = gpu.health.summary if gpu.health else ""
            named.append((node.name, gpu.index, wrong))
    return DegradedUse(count, tuple(named), worst(conditions))


def _degraded(cluster: Cluster, placed: Placed) -> Iterator[tuple[Node, Gpu]]:
    for replicas, count in placed:
        if replicas.condition.degraded:
            yield from _degraded_of(cluster, replicas, count)


def _degraded_of(cluster: Cluster, replicas: EqualReplicas, count: int) -> Iterator[tuple[Node, Gpu]]:
    """Yield the degraded GPUs of the first `count` replicas; groups without any cost next to nothing."""
    found = [tuple(slot for slot in group if slot.condition.degraded) for group in replicas.groups]
    size = len(replicas.frees)
    for number in range(count * size):
        for slot in found[number % len(found)]:
            machine, _ = replicas.site(*divmod(number, size))
            node = cluster.nodes[machine.node_of(slot)]
            yield node, node.gpus[machine.gpu_of(slot)]

"""Ranks on named GPUs, computed on first use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from cluster.inventory import Cluster
from cluster.planner.layout import Placement
from cluster.planner.placement.form import Form
from cluster.planner.placement.replicas import EqualReplicas
from cluster.planner.placement.span import Placed


class LazyPlacement(Sequence[Placement]):
    """All ranks of a layout, ordered by replica, stage, rank."""

    __slots__ = ("_cluster", "_form", "_placed", "_ranks")

    def __init__(self, cluster: Cluster, form: Form, placed: Placed) -> None:
        """Place this many replicas of each set."""
        self._cluster, self._form, self._placed = cluster, form, tuple(placed)
        self._ranks: tuple[Placement, ...] | None = None

    @overload
    def __getitem__(self, index: int) -> Placement: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Placement, ...]: ...
    def __getitem__(self, index: int | slice) -> Placement | tuple[Placement, ...]:
        return self._all()[index]

    def __len__(self) -> int:
        return self._form.gpus * sum(count for _, count in self._placed)

    def __iter__(self) -> Iterator[Placement]:
        """Yield the ranks one by one; ranks that are not consumed are not placed."""
        if self._ranks is not None:
            yield from self._ranks
            return
        ranks = []
        for rank in _place(self._cluster, self._form, self._placed):
            ranks.append(rank)
            yield rank
        self._ranks = tuple(ranks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"LazyPlacement({len(self)} ranks)"

    def _all(self) -> tuple[Placement, ...]:
        if self._ranks is None:
            self._ranks = tuple(_place(self._cluster, self._form, self._placed))
        return self._ranks


def _place(cluster: Cluster, form: Form, placed: Placed) -> Iterator[Placement]:
    first_replica = 0
    for replica_set, count in placed:
        for replica in range(count):
            yield from _replica_ranks(cluster, form, replica_set, replica, first_replica + replica)
        first_replica += count


def _replica_ranks(
    cluster: Cluster, form: Form, replica_set: EqualReplicas, replica: int, number: int
) -> Iterator[Placement]:
    for stage in range(form.pp):
        rank_in_stage = 0
        for group in range(stage * form.groups_per_stage, (stage + 1) * form.groups_per_stage):
            machine, slots = replica_set.site(replica, group)
            for node_index, position in sorted((machine.node_of(s), machine.gpu_of(s)) for s in slots):
                node = cluster.nodes[node_index]
                gpu = node.gpus[position]
                yield Placement(number, stage, rank_in_stage, node.node_id, node.name, gpu.index, gpu.uuid)
                rank_in_stage += 1

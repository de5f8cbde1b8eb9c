"""Ranks on named GPUs, worked out when first looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from cluster.inventory import Cluster
from cluster.planner.layout import Placement
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Joins
from cluster.planner.placement.replicas import ReplicaSet


class LazyPlacement(Sequence[Placement]):
    """All ranks of a layout, ordered by replica, stage, rank."""

    __slots__ = ("_cluster", "_form", "_ranks", "_sets")

    def __init__(self, cluster: Cluster, form: Form, sets: Sequence[tuple[ReplicaSet, int]]) -> None:
        """Place, of each set, the first so many replicas."""
        self._cluster, self._form, self._sets = cluster, form, tuple(sets)
        self._ranks: tuple[Placement, ...] | None = None

    @overload
    def __getitem__(self, index: int) -> Placement: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Placement, ...]: ...
    def __getitem__(self, index: int | slice) -> Placement | tuple[Placement, ...]:
        return self._all()[index]

    def __len__(self) -> int:
        return self._form.gpus * sum(count for _, count in self._sets)

    def __iter__(self) -> Iterator[Placement]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return f"LazyPlacement({len(self)} ranks)"

    @property
    def nodes_per_replica(self) -> int:
        """The most nodes that one replica of this layout spans."""
        return max(_nodes_of(self._form, replicas) for replicas, _ in self._sets)

    @property
    def machines_per_replica(self) -> int:
        """The most machines that one replica spans; the nodes of one NVLink domain are one machine."""
        return max(replicas.num_machines for replicas, _ in self._sets)

    @property
    def crosses_network(self) -> bool:
        """True when a replica spans machines that no NVLink joins."""
        return self.joins == "nodes" or any(replicas.num_machines > 1 for replicas, _ in self._sets)

    @property
    def joins(self) -> Joins:
        """What a tensor-parallel group spans because it was asked for: '', 'islands' or 'nodes'."""
        joined = {pool.joins for replicas, _ in self._sets for pool in replicas.pools}
        return "nodes" if "nodes" in joined else "islands" if "islands" in joined else ""

    @property
    def on_nvlink(self) -> bool:
        """True when every tensor-parallel group runs over NVLink."""
        return all(pool.link == "nvlink" for replicas, _ in self._sets for pool in replicas.pools)

    @property
    def network_known(self) -> bool:
        """True when every node says how fast its network is."""
        return all(pool.network_bytes_per_s for replicas, _ in self._sets for pool in replicas.pools)

    @property
    def shares_nodes(self) -> bool:
        """True when a node holds parts of two replicas that span nodes: losing it ends both."""
        return any(count > 1 and replicas.shares_machines for replicas, count in self._sets)

    def first_replicas(self, count: int) -> tuple[Placement, ...]:
        """Return the ranks of the first `count` replicas without placing the others."""
        few: list[tuple[ReplicaSet, int]] = []
        for replicas, size in self._sets:
            taken = min(size, count - sum(number for _, number in few))
            if taken > 0:
                few.append((replicas, taken))
        return tuple(_place(self._cluster, self._form, few))

    def _all(self) -> tuple[Placement, ...]:
        if self._ranks is None:
            self._ranks = tuple(_place(self._cluster, self._form, self._sets))
        return self._ranks


def _place(cluster: Cluster, form: Form, sets: Sequence[tuple[ReplicaSet, int]]) -> Iterator[Placement]:
    first_replica = 0
    for replica_set, count in sets:
        for replica in range(count):
            yield from _replica_ranks(cluster, form, replica_set, replica, first_replica + replica)
        first_replica += count


def _replica_ranks(
    cluster: Cluster, form: Form, replica_set: ReplicaSet, replica: int, number: int
) -> Iterator[Placement]:
    for stage in range(form.pp):
        rank_in_stage = 0
        for chunk in range(stage * form.chunks_per_stage, (stage + 1) * form.chunks_per_stage):
            machine, spots = replica_set.site(replica, chunk)
            for node_index, position in sorted((machine.node_of(s), machine.gpu_of(s)) for s in spots):
                node = cluster.nodes[node_index]
                gpu = node.gpus[position]
                yield Placement(number, stage, rank_in_stage, node.node_id, node.name, gpu.index, gpu.uuid)
                rank_in_stage += 1


def _nodes_of(form: Form, replicas: ReplicaSet) -> int:
    sites = [replicas.site(0, chunk) for chunk in range(form.num_chunks)]
    return len({machine.node_of(spot) for machine, chunk in sites for spot in chunk})

"""What the replicas of a layout span, and over which links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Joins
from cluster.planner.placement.replicas import ReplicaSet

Placed = Sequence[tuple[ReplicaSet, int]]
"""How many replicas of each set, the first ones of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """Facts on where replicas lie. The defaults are those of one GPU, or of a layout that was not placed."""

    nodes_per_replica: int = 1
    """The most nodes that one replica spans."""
    machines_per_replica: int = 1
    """The most machines that one replica spans; the nodes of one NVLink domain are one machine."""
    joins: Joins = ""
    """What a tensor-parallel group spans because it was asked for: '', 'islands' or 'nodes'."""
    crosses_network: bool = False
    """A replica spans machines that no NVLink joins."""
    on_nvlink: bool = False
    """Every tensor-parallel group runs over NVLink."""
    network_known: bool = False
    """Every node says how fast its network is."""
    shares_nodes: bool = False
    """A node holds parts of two replicas that span nodes: losing it ends both."""


NOT_PLACED = Span()


def span_of(form: Form, placed: Placed) -> Span:
    """Return what these replicas of a form span; `placed` is not empty."""
    pools = [pool for replicas, _ in placed for pool in replicas.pools]
    joined = {pool.joins for pool in pools}
    machines = max(replicas.num_machines for replicas, _ in placed)
    joins: Joins = "nodes" if "nodes" in joined else "islands" if "islands" in joined else ""
    return Span(
        nodes_per_replica=max(_nodes_of(form, replicas) for replicas, _ in placed),
        machines_per_replica=machines,
        joins=joins,
        crosses_network=joins == "nodes" or machines > 1,
        on_nvlink=all(pool.link == "nvlink" for pool in pools),
        network_known=all(pool.network_bytes_per_s for pool in pools),
        shares_nodes=any(count > 1 and replicas.shares_machines for replicas, count in placed),
    )


def _nodes_of(form: Form, replicas: ReplicaSet) -> int:
    sites = [replicas.site(0, chunk) for chunk in range(form.num_chunks)]
    return len({machine.node_of(spot) for machine, chunk in sites for spot in chunk})

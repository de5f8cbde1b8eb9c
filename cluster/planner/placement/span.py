"""What the replicas of a layout span (nodes, machines), and over which links."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd

from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Joins
from cluster.planner.placement.replicas import EqualReplicas

Placed = Sequence[tuple[EqualReplicas, int]]
"""How many replicas to take from each set, in order."""


_MOST_INSPECTED = 32
"""Replicas of a set that are inspected besides its last one, which is spread over the most nodes."""


@dataclass(frozen=True, slots=True)
class Span:
    """Where replicas are placed. The defaults are for one GPU, or for a layout that was not placed."""

    nodes_per_replica: int = 1
    """The most nodes that one replica spans."""
    machines_per_replica: int = 1
    """The most machines that one replica spans; the nodes of one NVLink domain are one machine."""
    joins: Joins = ""
    """What a tensor-parallel group spans because its TP is pinned: '', 'islands' or 'nodes'."""
    crosses_network: bool = False
    """A replica spans machines that no NVLink joins."""
    on_nvlink: bool = False
    """Every tensor-parallel group runs over NVLink."""
    network_known: bool = False
    """The network bandwidth of every node is known."""
    shares_nodes: bool = False
    """A node runs parts of two replicas that span nodes: losing it stops both."""


NOT_PLACED = Span()


def span_of(form: Form, placed: Placed) -> Span:
    """Return what these replicas of a form span; `placed` is not empty."""
    pools = [pool for replicas, _ in placed for pool in replicas.pools]
    joined = {pool.joins for pool in pools}
    reaches = [reach for replicas, count in placed for reach in _reaches(form, replicas, count)]
    machines = max(num_machines for _, num_machines in reaches)
    joins: Joins = "nodes" if "nodes" in joined else "islands" if "islands" in joined else ""
    return Span(
        nodes_per_replica=max(num_nodes for num_nodes, _ in reaches),
        machines_per_replica=machines,
        joins=joins,
        crosses_network=joins == "nodes" or machines > 1,
        on_nvlink=all(pool.link == "nvlink" for pool in pools),
        network_known=all(pool.network_bytes_per_s for pool in pools),
        shares_nodes=any(count > 1 and replicas.shares_machines for replicas, count in placed),
    )


def _reaches(form: Form, replicas: EqualReplicas, count: int) -> Iterator[tuple[int, int]]:
    """Yield the nodes and the machines that replicas among the first `count` span.

    The pattern of TP groups per replica repeats once a replica and a machine end together.
    """
    size, per_machine = form.num_groups, len(replicas.groups)
    distinct = min(count, per_machine // gcd(size, per_machine))
    for number in {*range(min(distinct, _MOST_INSPECTED)), distinct - 1}:
        sites = [replicas.site(number, group) for group in range(size)]
        nodes = {machine.node_of(slot) for machine, group in sites for slot in group}
        yield len(nodes), len({machine.nodes for machine, _ in sites})

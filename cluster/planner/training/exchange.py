"""The rings over which replicas exchange gradients and parameters, and how long a step's exchange takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from cluster.planner.cost import Link, all_reduce_time_s, link_for
from cluster.planner.memory import TrainingMemory
from cluster.planner.memory.training_memory import RING_PASSES
from cluster.planner.placement.condition import worst
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Machine
from cluster.planner.placement.span import Placed
from cluster.planner.placement.wide_groups import TpGroup
from cluster.planner.replica import ReplicaLinks
from cluster.planner.search.context import Context

_ALL_REDUCE_PASSES = 2
_MOST_INSPECTED = 128
"""Replicas to inspect for the links inside the first machine: no machine has more."""


def exchange_time_s(memory: TrainingMemory, dp: int, link: Link) -> float:
    """Return seconds in which a rank's gradients (under ZeRO parameters too) go around its ring."""
    once_s = all_reduce_time_s(memory.gradient_all_reduce_bytes, dp, link)
    return once_s * RING_PASSES[memory.sharding] / _ALL_REDUCE_PASSES


def data_link(context: Context, form: Form, placed: Placed) -> Link:
    """Return the slowest link of a data-parallel ring, with its share of shared links.

    Each rank of a replica forms a ring with the same rank of all other replicas. If replicas are on several
    machines, each ring crosses the network, and all rings of a machine share its network.
    """
    ranks = max(2, sum(count for _, count in placed))
    spec, measured = placed[0][0].slowest.spec, context.cluster.measured_links
    condition = worst(replicas.condition for replicas, _ in placed)
    own = ReplicaLinks(measured=measured, condition=condition)
    inside = link_for(_inside_kind(context, form, placed), ranks, spec, own)
    if not _crosses_machines(form, placed):
        return inside
    links = replace(own, network_bytes_per_s=_network_rate(placed))
    network = link_for("network", ranks, spec, links)
    share = network.bandwidth_bytes_per_s * min(1.0, 1 / _rings_of_a_node(context, form, placed))
    return replace(network, bandwidth_bytes_per_s=min(share, inside.bandwidth_bytes_per_s))


def _rings_of_a_node(context: Context, form: Form, placed: Placed) -> float:
    """Return how many rings share a node's network; of an NVLink domain's, how many a node of it has."""
    machine, _ = placed[0][0].site(0, 0)
    gpus = sum(len(context.cluster.nodes[node].gpus) for node in machine.nodes)
    return min(form.gpus, gpus) / len(machine.nodes)


def _network_rate(placed: Placed) -> float | None:
    rates = [pool.network_bytes_per_s for replicas, _ in placed for pool in replicas.pools]
    return min((rate for rate in rates if rate is not None), default=None)


def _crosses_machines(form: Form, placed: Placed) -> bool:
    """Return whether some ring has members on several machines."""
    for group in range(form.num_groups):
        first = placed[0][0].site(0, group)[0]
        if any(machine.nodes != first.nodes for machine, _ in _sites(placed, group)):
            return True
    return False


def _inside_kind(context: Context, form: Form, placed: Placed) -> str:
    """Return the kind of link between the members of a ring that are on one machine."""
    first = placed[0][0]
    if first.slowest.link != "nvlink":
        return "pcie"
    machine, _ = first.site(0, 0)
    if context.cluster.nodes[machine.nodes[0]].nvlink_domain is not None:
        return "nvlink_domain" if len(machine.nodes) > 1 else "nvlink"
    for group in range(form.num_groups):
        sites = [site for site in islice(_sites(placed, group), _MOST_INSPECTED) if site[0] == machine]
        if len({_island(context, *site) for site in sites}) > 1:
            return "pcie"
    return "nvlink"


def _sites(placed: Placed, group: int) -> Iterator[tuple[Machine, TpGroup]]:
    return (replicas.site(number, group) for replicas, count in placed for number in range(count))


def _island(context: Context, machine: Machine, group: TpGroup) -> str | None:
    node = context.cluster.nodes[machine.node_of(group[0])]
    return node.gpus[machine.gpu_of(group[0])].nvlink_island

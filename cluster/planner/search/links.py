"""Which links the groups of a replica run over."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Machine
from cluster.planner.placement.replicas import EqualReplicas
from cluster.planner.placement.wide_groups import TpGroup
from cluster.planner.replica import ReplicaLinks, TpLink
from cluster.planner.search.context import Context


def links_of(context: Context, form: Form, replicas: EqualReplicas) -> ReplicaLinks:
    """Return the links that one replica of this set runs over."""
    sites = [replicas.site(0, group) for group in range(form.num_groups)]
    group_nodes = [{machine.node_of(slot) for slot in group} for machine, group in sites]
    nodes = set().union(*group_nodes)
    inside = replicas.slowest.link == "nvlink" and _one_domain(context, nodes)
    return ReplicaLinks(
        tp_link=_tp_link(form, replicas, max(len(nodes) for nodes in group_nodes)),
        pp_crosses_node=form.pp > 1 and len(nodes) > 1 and not inside,
        network_bytes_per_s=_network_rate(context, nodes),
        gpus_per_node=_gpus_per_node(context, *sites[0]),
        measured=context.cluster.measured_links,
        condition=replicas.condition,
    )


def _one_domain(context: Context, nodes: Collection[int]) -> bool:
    domains = {context.cluster.nodes[node].nvlink_domain for node in nodes}
    return len(domains) == 1 and None not in domains


def _tp_link(form: Form, replicas: EqualReplicas, nodes_in_group: int) -> TpLink:
    if form.groups_per_stage > 1 and not form.dp_attention:
        return "network"
    if form.group_gpus == 1:
        return "none"
    if any(pool.link == "network" for pool in replicas.pools):
        return "network"
    if replicas.slowest.link != "nvlink":
        return "pcie"
    return "nvlink_domain" if nodes_in_group > 1 else "nvlink"


def _gpus_per_node(context: Context, machine: Machine, group: TpGroup) -> int:
    # The nodes of one NVLink domain count as one: its collectives do not leave NVLink.
    own = context.cluster.nodes[machine.node_of(group[0])]
    if own.nvlink_domain is None:
        return len(own.gpus)
    nodes = [context.cluster.nodes[node] for node in machine.nodes]
    return sum(len(node.gpus) for node in nodes if node.nvlink_domain == own.nvlink_domain)


def _network_rate(context: Context, nodes: Iterable[int]) -> float | None:
    rates = (context.cluster.nodes[node].network_bytes_per_s for node in nodes)
    known = [rate for rate in rates if rate is not None]
    return min(known) if known else None

"""Which GPUs take part in a calibration, and which groups of them all-reduce. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cluster.calibration.result import Spot
from cluster.inventory import Cluster, Gpu, Node

LinkKind = Literal["nvlink", "nvlink_domain", "pcie", "network"]

MOST_GPUS_OF_A_NODE = 8
MOST_NODES_OF_A_TYPE = 4
_SIZES = (2, 4, 8)
_FREE_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Group:
    """Ranks that all-reduce, by their place in the list of spots."""

    kind: LinkKind
    gpu_type: str
    members: tuple[int, ...]

    @property
    def scope(self) -> Literal["node", "cross_node"]:
        """As in MeasuredLink: an NVLink domain over several nodes counts as one node."""
        return "cross_node" if self.kind == "network" else "node"


def free_spots(cluster: Cluster) -> tuple[list[Spot], list[str]]:
    """Return the GPUs to measure, and a line for each node or GPU that is left out.

    Of each type up to 8 GPUs of up to 4 nodes: more would take longer and say the same.
    """
    spots: list[Spot] = []
    skipped: list[str] = []
    nodes_of_type: dict[str, set[str]] = {}
    for node in cluster.nodes:
        if node.error:
            skipped.append(f"node {node.name}: {node.error}")
        for gpu in node.gpus:
            reason = why_not_free(gpu)
            if reason:
                skipped.append(f"{node.name} GPU {gpu.index} ({gpu.type}): {reason}")
                continue
            nodes = nodes_of_type.setdefault(gpu.type, set())
            if node.node_id in nodes or len(nodes) < MOST_NODES_OF_A_TYPE:
                nodes.add(node.node_id)
                spots.append(_spot(node, gpu))
    return list(_few_of_each(spots)), skipped


def why_not_free(gpu: Gpu) -> str:
    """Return why a GPU takes no part in a calibration; empty when it does."""
    if gpu.unhealthy_reason:
        return gpu.unhealthy_reason
    if gpu.excluded_reason:
        return gpu.excluded_reason
    if gpu.mig_parent_uuid is not None:
        return "a MIG slice has no links and a share of the rates"
    if gpu.claimed_by:
        return f"in use by {gpu.claimed_by}"
    if gpu.processes:
        names = ", ".join(process.name or str(process.pid) for process in gpu.processes[:3])
        return f"in use by {names}"
    if gpu.health is not None and gpu.health.state == "degraded":
        return f"degraded, so its rates are not those of its type: {gpu.health.summary}"
    total, free = gpu.memory_total_bytes, gpu.memory_free_bytes
    if total and free is not None and free < _FREE_SHARE * total:
        return f"{100 * (1 - free / total):.0f}% of its memory is in use"
    return ""


def _spot(node: Node, gpu: Gpu) -> Spot:
    return Spot(
        node_id=node.node_id,
        node_name=node.name,
        gpu_index=gpu.index,
        gpu_uuid=gpu.uuid,
        gpu_type=gpu.type,
        island=gpu.nvlink_island,
        domain=node.nvlink_domain,
    )


def _few_of_each(spots: Iterable[Spot]) -> Iterator[Spot]:
    counts: dict[str, int] = {}
    for spot in spots:
        counts[spot.node_id] = counts.get(spot.node_id, 0) + 1
        if counts[spot.node_id] <= MOST_GPUS_OF_A_NODE:
            yield spot


def groups_among(spots: Sequence[Spot]) -> list[Group]:
    """Return the groups to measure: of each GPU type 2, 4 and 8 ranks over each kind of link, then nodes."""
    groups: list[Group] = []
    for gpu_type in dict.fromkeys(spot.gpu_type for spot in spots):
        by_node: dict[str, list[int]] = {}
        for number, spot in enumerate(spots):
            if spot.gpu_type == gpu_type:
                by_node.setdefault(spot.node_id, []).append(number)
        inside: dict[tuple[LinkKind, int], Group] = {}
        for members in by_node.values():
            for group in _inside_a_node(gpu_type, spots, members):
                # One node stands for all of a kind.
                inside.setdefault((group.kind, len(group.members)), group)
        groups += [inside[key] for key in sorted(inside)]
        groups += _across_nodes(gpu_type, spots, list(by_node.values()))
    return groups


def _inside_a_node(gpu_type: str, spots: Sequence[Spot], members: list[int]) -> Iterator[Group]:
    islands: dict[str, list[int]] = {}
    for number in members:
        if (island := spots[number].island) is not None:
            islands.setdefault(island, []).append(number)
    largest = max(islands.values(), key=len, default=[])
    for size in _SIZES:
        if size <= len(largest):
            yield Group("nvlink", gpu_type, tuple(largest[:size]))
        elif size <= len(members):
            # Beyond an island, the slowest link sets the pace.
            yield Group("pcie", gpu_type, tuple(members[:size]))


def _across_nodes(gpu_type: str, spots: Sequence[Spot], by_node: list[list[int]]) -> Iterator[Group]:
    """Yield one rank of each of two nodes, then all of two nodes, then all of four."""
    if len(by_node) < 2:
        return
    least = min(len(members) for members in by_node)
    each = max((size for size in (1, *_SIZES) if size <= least), default=1)
    shapes = dict.fromkeys([(2, 1), (2, each), (min(len(by_node), MOST_NODES_OF_A_TYPE), each)])
    for num_nodes, ranks in shapes:
        members = tuple(number for node in by_node[:num_nodes] for number in node[:ranks])
        domains = {spots[number].domain for number in members}
        joined = len(domains) == 1 and None not in domains
        yield Group("nvlink_domain" if joined else "network", gpu_type, members)

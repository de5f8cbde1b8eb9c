"""Everything that the topology view shows of a node. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.detail import NetworkPort, NodeDetail
from cluster.inventory import Node
from cluster.planner.exchanges import Exchange
from tui.topology.links import GpuLinks, TwoLooks, gpu_links
from tui.topology.matrix import Matrix, make_matrix


@dataclass(frozen=True, slots=True)
class NodeTopology:
    """Everything that the topology view shows of a node."""

    node: Node
    islands: tuple[tuple[str | None, tuple[GpuLinks, ...]], ...]
    """(name, GPUs); None: those without NVLink."""
    matrix: Matrix
    ports: tuple[NetworkPort, ...] = ()
    exchanges: tuple[Exchange, ...] = ()
    """Of the highlighted layout, as far as this node takes part."""


def node_topology(node: Node, looks: TwoLooks, exchanges: Sequence[Exchange] = ()) -> NodeTopology:
    """Join a node's facts, its slow figures and the exchanges of a layout."""
    details = {} if looks.now is None else {gpu.uuid: gpu for gpu in looks.now.gpus}
    matrix = make_matrix(node, details, exchanges)
    rows: dict[str | None, list[GpuLinks]] = {}
    for gpu in node.gpus:
        rows.setdefault(gpu.nvlink_island, []).append(gpu_links(node, gpu, looks, exchanges, matrix))
    # GPUs without NVLink come last.
    ordered = sorted(rows.items(), key=lambda item: item[0] is None)
    islands = tuple((name, tuple(gpus)) for name, gpus in ordered)
    ports = () if looks.now is None else looks.now.ports
    return NodeTopology(node, islands, matrix, ports, tuple(exchanges))


def links_down(details: Iterable[NodeDetail]) -> dict[str, int]:
    """Count, by node id, the links that are down on GPUs with other links up."""
    found: dict[str, int] = {}
    for detail in details:
        for gpu in detail.gpus:
            up = sum(link.active for link in gpu.links)
            if 0 < up < len(gpu.links):
                found[detail.node_id] = found.get(detail.node_id, 0) + len(gpu.links) - up
    return found

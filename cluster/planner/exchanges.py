"""Which ranks of a placed layout exchange data with which, and over what kind of link. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.layout import Layout, Placement
from cluster.planner.replica import TpLink
from cluster.planner.result import Candidate

ExchangeKind = Literal["all-reduce", "all-to-all", "stage hop", "gradient all-reduce"]
"""Of tensor-parallel ranks; of ranks that share experts; from a rank to the next stage's; of the replicas
that are trained together."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Ranks that exchange data."""

    kind: ExchangeKind
    replica: int
    stage: int
    """Of a hop: the stage that sends."""
    places: tuple[Placement, ...]
    link: TpLink
    """The slowest link that it needs."""

    @property
    def nodes(self) -> frozenset[str]:
        """The ids of the nodes that take part."""
        return frozenset(place.node for place in self.places)


@dataclass(frozen=True, slots=True)
class Exchanges:
    """All exchanges of a layout, and those that each node takes part in."""

    all: tuple[Exchange, ...] = ()
    by_node: Mapping[str, tuple[Exchange, ...]] = field(default_factory=dict)

    def of_node(self, node_id: str) -> tuple[Exchange, ...]:
        """Return the exchanges that a node takes part in."""
        return self.by_node.get(node_id, ())


def exchanges_of(candidate: Candidate, cluster: Cluster, *, training: bool = False) -> Exchanges:
    """Return what the ranks of a layout exchange; nothing for one that is not placed.

    On ten thousand GPUs this takes about 50 ms.
    """
    layout = _as_run(candidate)
    found = tuple(_exchanges(candidate.placement, layout, _Hardware(cluster), training))
    by_node: dict[str, list[Exchange]] = {}
    for exchange in found:
        for node in exchange.nodes:
            by_node.setdefault(node, []).append(exchange)
    return Exchanges(found, {node: tuple(own) for node, own in by_node.items()})


def _as_run(candidate: Candidate) -> Layout:
    """Return the layout as the engine runs it, which may divide the ranks of a stage in another way."""
    estimate = candidate.estimate
    return (estimate.runs_as if estimate is not None else None) or candidate.layout


class _Hardware:
    """Finds nodes and GPUs of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._nodes: dict[str, Node] = {node.node_id: node for node in cluster.nodes}
        self._gpus: dict[str, Gpu] = {gpu.uuid: gpu for node in cluster.nodes for gpu in node.gpus}

    def link(self, places: Sequence[Placement]) -> TpLink:
        """Return the slowest link among some GPUs."""
        nodes = {place.node for place in places}
        gpus = [self._gpus.get(place.gpu_uuid) for place in places]
        islands = {None if gpu is None else gpu.nvlink_island for gpu in gpus}
        if len(nodes) > 1:
            domains = {node.nvlink_domain if (node := self._nodes.get(name)) else None for name in nodes}
            joined = len(domains) == 1 and None not in domains and None not in islands
            return "nvlink_domain" if joined else "network"
        return "nvlink" if len(islands) == 1 and None not in islands else "pcie"


def _exchanges(
    places: Iterable[Placement], layout: Layout, hardware: _Hardware, training: bool
) -> Iterator[Exchange]:
    replicas: dict[int, dict[int, list[Placement]]] = {}
    for place in places:
        replicas.setdefault(place.replica, {}).setdefault(place.stage, []).append(place)
    for replica, stages in replicas.items():
        yield from _of_replica(replica, stages, layout, hardware)
    if training and len(replicas) > 1:
        yield from _gradients(list(replicas.values()), hardware)


def _of_replica(
    replica: int, stages: Mapping[int, Sequence[Placement]], layout: Layout, hardware: _Hardware
) -> Iterator[Exchange]:
    for stage, ranks in stages.items():
        tp = layout.tp
        for first in range(0, len(ranks), tp) if tp > 1 else ():
            group = tuple(ranks[first : first + tp])
            yield Exchange("all-reduce", replica, stage, group, hardware.link(group))
        if layout.dp_attention and layout.ep > 1 and len(ranks) > 1:
            yield Exchange("all-to-all", replica, stage, tuple(ranks), hardware.link(ranks))
        for pair in zip(ranks, stages.get(stage + 1, ()), strict=False):
            yield Exchange("stage hop", replica, stage, pair, hardware.link(pair))


def _gradients(
    replicas: Sequence[Mapping[int, Sequence[Placement]]], hardware: _Hardware
) -> Iterator[Exchange]:
    """Yield the ring of each rank: the same rank of all replicas."""
    for stage, ranks in replicas[0].items():
        for number in range(len(ranks)):
            same = (stages.get(stage, ())[number : number + 1] for stages in replicas)
            ring = tuple(place for found in same for place in found)
            yield Exchange("gradient all-reduce", 0, stage, ring, hardware.link(ring))

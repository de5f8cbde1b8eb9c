"""Large events in short lines, between the child process and its session: in parts, a cluster by its changes.

With thousands of GPUs one line would take hundreds of milliseconds to read, and hold up every other thread of
the session's process meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

from pydantic import TypeAdapter

from cluster.bridge.events import ClusterSeen, DetailsSeen, Event, ReadingsSeen
from cluster.detail import NodeDetail
from cluster.frozen import FrozenModel
from cluster.inventory import Cluster, Node
from cluster.telemetry import NodeReading

NODES_IN_A_LINE = 32


class NodesPart(FrozenModel):
    """Nodes of a cluster that are new or differ from the last ones sent; a ClusterPart follows."""

    kind: Literal["nodes_part"] = "nodes_part"
    nodes: tuple[Node, ...]


class ClusterPart(FrozenModel):
    """The end of a ClusterSeen: the cluster without its nodes, and which nodes it has."""

    kind: Literal["cluster_part"] = "cluster_part"
    cluster: Cluster
    order: tuple[str, ...] | None = None
    """The ids of its nodes; None: those of the last cluster."""


class ReadingsPart(FrozenModel):
    """Some readings of a ReadingsSeen."""

    kind: Literal["readings_part"] = "readings_part"
    nodes: tuple[NodeReading, ...]


class ReadingsEnd(FrozenModel):
    """The end of a ReadingsSeen."""

    kind: Literal["readings_end"] = "readings_end"


Part = NodesPart | ClusterPart | ReadingsPart | ReadingsEnd

_LISTS: dict[type[FrozenModel], TypeAdapter[Any]] = {
    NodesPart: TypeAdapter(tuple[Node, ...]),
    ReadingsPart: TypeAdapter(tuple[NodeReading, ...]),
    DetailsSeen: TypeAdapter(tuple[NodeDetail, ...]),
}


def encode(message: FrozenModel) -> bytes:
    """Return the message as one line; long lists of nodes leave out what has its default value."""
    nodes = _LISTS.get(type(message))
    if nodes is None:
        return message.model_dump_json().encode() + b"\n"
    kind, listed = message.kind, message.nodes  # type: ignore[attr-defined]
    return b'{"kind":"%s","nodes":%s}\n' % (kind.encode(), nodes.dump_json(listed, exclude_defaults=True))


class Packer:
    """The child's side: sends events of nodes in parts. Its methods may be called from any thread."""

    def __init__(self, send: Callable[[FrozenModel], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._nodes: dict[str, Node] = {}
        self._order: tuple[str, ...] | None = None

    def send(self, event: ClusterSeen | ReadingsSeen | DetailsSeen) -> None:
        """Send an event; the parts of two never mix."""
        with self._lock:
            for message in self._messages(event):
                self._send(message)

    def _messages(self, event: ClusterSeen | ReadingsSeen | DetailsSeen) -> Iterator[FrozenModel]:
        if isinstance(event, ClusterSeen):
            yield from self._cluster(event.cluster)
        elif isinstance(event, ReadingsSeen):
            yield from (ReadingsPart.model_construct(nodes=nodes) for nodes in _in_parts(event.nodes))
            yield ReadingsEnd()
        else:
            yield from (DetailsSeen.model_construct(nodes=nodes) for nodes in _in_parts(event.nodes))

    def _cluster(self, cluster: Cluster) -> Iterator[FrozenModel]:
        known, nodes = self._nodes, cluster.nodes
        changed = tuple(node for node in nodes if not _same(known.get(node.node_id), node))
        yield from (NodesPart.model_construct(nodes=part) for part in _in_parts(changed))
        order = tuple(node.node_id for node in nodes)
        header = cluster.model_copy(update={"nodes": ()})
        yield ClusterPart(cluster=header, order=None if order == self._order else order)
        self._nodes, self._order = {node.node_id: node for node in nodes}, order


class Unpacker:
    """The session's side: puts the parts of one child together again."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._order: tuple[str, ...] = ()
        self._readings: list[NodeReading] = []

    def take(self, message: Part | Event) -> Event | None:
        """Return the event that the message completes, or is; None while parts are missing."""
        if isinstance(message, NodesPart):
            self._nodes.update({node.node_id: node for node in message.nodes})
        elif isinstance(message, ReadingsPart):
            self._readings.extend(message.nodes)
        elif isinstance(message, ReadingsEnd):
            readings, self._readings = tuple(self._readings), []
            return ReadingsSeen(nodes=readings)
        elif isinstance(message, ClusterPart):
            return self._cluster(message)
        else:
            return message
        return None

    def _cluster(self, message: ClusterPart) -> ClusterSeen:
        self._order = self._order if message.order is None else message.order
        # A line that could not be read is left out, and so are its nodes.
        self._nodes = {node_id: self._nodes[node_id] for node_id in self._order if node_id in self._nodes}
        nodes = tuple(self._nodes.values())
        return ClusterSeen(cluster=message.cluster.model_copy(update={"nodes": nodes}))


def _same(before: Node | None, after: Node) -> bool:
    return before is after or (before is not None and before == after)


def _in_parts(nodes: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for first in range(0, len(nodes), NODES_IN_A_LINE):
        yield nodes[first : first + NODES_IN_A_LINE]

"""Nodes that stop answering, come back, join and leave; GPUs that vanish from their node."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.incidents.holding import NODE_BACK_S, NODE_SILENT_S
from cluster.incidents.incident import Incident
from cluster.incidents.places import Place
from cluster.incidents.settling import Change, Settling
from cluster.inventory import Cluster, Node
from cluster.telemetry import NodeReading
from cluster.units import count_of, format_duration

_SILENT = {"hung": "GPU driver hangs", "lost": "does not answer"}


class NodeWatch:
    """Compares nodes with what was last known of them."""

    def __init__(self) -> None:
        self._silent: Settling[str, str] = Settling(lambda _, new: NODE_SILENT_S if new else NODE_BACK_S)
        self._nodes: dict[str, Node] | None = None
        """None before the first inventory."""

    def see_cluster(self, cluster: Cluster, now_s: float) -> Iterator[Incident]:
        """Report nodes that joined or left, and what has changed on the others."""
        old, self._nodes = self._nodes, {node.node_id: node for node in cluster.nodes}
        self._silent.keep(self._nodes)
        for node in cluster.nodes:
            before = None if old is None else old.get(node.node_id)
            if before is not None:
                yield from _changes(before, node, now_s)
            elif node.left is not None:
                yield _left(node)
            elif old is not None:
                yield Place(node).incident(now_s, "node", "info", "joined", count_of(len(node.gpus), "GPU"))
        for node_id, node in (old or {}).items():
            if node_id not in self._nodes and node.left is None:
                yield Place(node).incident(now_s, "node", "warning", "is no longer in the cluster")

    def see_reading(self, reading: NodeReading, place: Place, now_s: float) -> Incident | None:
        """Report a node that stops answering, or answers again."""
        silent = _SILENT.get(reading.state, "")
        if reading.state == "stale" or place.node.left is not None:
            return None  # stale: neither silent nor fresh; a dead node was reported with its reason
        at_start = self._silent.value(reading.node_id) is None
        change = self._silent.see(reading.node_id, silent, now_s)
        if at_start and silent:
            change = Change("", silent, now_s, None)
        if change is None:
            return None
        if change.new:
            return place.incident(change.since_s, "node", "bad", change.new, reading.reason or "")
        lasted = "" if change.lasted_s is None else f"after {format_duration(round(change.lasted_s))}"
        return place.incident(change.since_s, "node", "good", "answers again", lasted)

    def is_silent(self, node_id: str) -> bool:
        """Return whether a node counts as silent: nothing that is known of it is news."""
        return bool(self._silent.value(node_id))


def _changes(before: Node, node: Node, now_s: float) -> Iterator[Incident]:
    place = Place(node)
    if node.left is not None:
        if before.left is None:
            yield _left(node)
        return
    if before.left is not None:
        yield place.incident(now_s, "node", "good", "is back", count_of(len(node.gpus), "GPU"))
    if node.error and not before.error:
        yield place.incident(now_s, "node", "warning", "GPUs cannot be read", node.error)
    elif before.error and not node.error:
        yield place.incident(now_s, "node", "good", "GPUs can be read again")
    yield from _gpu_changes(before, node, now_s)


def _gpu_changes(before: Node, node: Node, now_s: float) -> Iterator[Incident]:
    if node.error:
        return  # then nothing is known of its GPUs
    now, then = {gpu.uuid for gpu in node.gpus}, {gpu.uuid for gpu in before.gpus}
    for gpu in before.gpus:
        if gpu.uuid not in now:
            yield Place(before, gpu).incident(now_s, "gpu", "bad", "GPU has vanished from its node")
    for gpu in node.gpus:
        if gpu.uuid not in then and before.gpus:
            yield Place(node, gpu).incident(now_s, "gpu", "info", "GPU has appeared")


def _left(node: Node) -> Incident:
    assert node.left is not None
    held = f"; ran there: {', '.join(node.left.held)}" if node.left.held else ""
    return Place(node).incident(node.left.at_s, "node", "bad", "left the cluster", node.left.reason + held)

"""What is known of an observed cluster: nodes as they were last reported, how old that is, and dead ones."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from cluster.bridge.driver.dead_node import as_left, forgotten, without_returned
from cluster.bridge.observe.answer import BadNode, SeenNode
from cluster.bridge.observe.nodes import node_of, reading_of
from cluster.errors import BadInput
from cluster.health.watch import HealthWatch
from cluster.inventory import Cluster, Node, NodeLeft
from cluster.telemetry import NodeReading
from cluster.text import clean

_STALE_S = 12.0
"""Ray's reporters send every 5 s."""
_ALIVE = "ALIVE"


@dataclass
class _Observed:
    """A node: its last report, and when that came by our clock, as clocks differ between machines."""

    seen: SeenNode | BadNode
    came_at_s: float
    node: Node
    gone: Node | None = None

    def reading(self, now_s: float) -> NodeReading:
        reading = reading_of(self.seen, self.came_at_s)
        if self.gone is not None:
            return reading.model_copy(update={"state": "lost", "reason": "left the cluster"})
        silent_s = now_s - self.came_at_s
        if reading.state == "ok" and silent_s > _STALE_S:
            reason = f"its Ray reporter has sent nothing for {silent_s:.0f} s"
            return reading.model_copy(update={"state": "stale", "reason": reason})
        return reading


class ObservedNodes:
    """Takes in each answer of the dashboard. Its methods are called from one thread at a time."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Observed] = {}
        self._health = HealthWatch()

    def take(self, answer: Iterable[SeenNode | BadNode]) -> None:
        """Take in what the dashboard says now. Nodes that were dead from the beginning are left out."""
        now_s, listed = time.time(), set()
        for seen in answer:
            known = self._nodes.get(seen.raylet.node_id)
            listed.add(seen.raylet.node_id)
            if seen.raylet.state == _ALIVE:
                self._nodes[seen.raylet.node_id] = _updated(known, seen, now_s)
            elif known is not None:
                _leave(known, seen.raylet.state_message or "Ray gives no reason", now_s)
        for node_id, known in self._nodes.items():
            if node_id not in listed:
                _leave(known, "Ray's dashboard lists it no more", now_s)
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        died = {id_: one.gone.left.at_s for id_, one in self._nodes.items() if one.gone and one.gone.left}
        for node_id in forgotten(died, now_s):
            del self._nodes[node_id]
        self._health.keep(self._nodes)

    def dismiss(self, node_id: str) -> None:
        """Forget a dead node; BadInput for any other."""
        known = self._nodes.get(node_id)
        if known is None or known.gone is None:
            name = known.node.name if known is not None else clean(node_id, 80)
            raise BadInput(f"no dead node {name} here", "Only a node that left the cluster can be dismissed")
        del self._nodes[node_id]

    def cluster(self) -> Cluster:
        """Return the inventory with the health of its GPUs."""
        ordered = sorted(self._nodes.values(), key=lambda one: (one.node.name, one.node.node_id))
        nodes = without_returned([one.gone or self._judged(one) for one in ordered])
        return Cluster(source="ray", nodes=tuple(nodes), taken_at_s=time.time())

    def _judged(self, one: _Observed) -> Node:
        return self._health.judge(one.node, one.reading(time.time()), None, time.monotonic())

    def readings(self) -> tuple[NodeReading, ...]:
        """Return the latest reading of each node, marked where it is old or the node is gone."""
        now_s = time.time()
        return tuple(one.reading(now_s) for one in self._nodes.values())


def _updated(known: _Observed | None, seen: SeenNode | BadNode, now_s: float) -> _Observed:
    if known is not None and known.gone is None and known.seen == seen:
        return known
    same_report = known is not None and _reported_at_s(known.seen) == _reported_at_s(seen)
    came_at_s = known.came_at_s if known is not None and same_report else now_s
    node = node_of(seen)
    if known is not None and known.node == node:
        node = known.node
    return _Observed(seen, came_at_s, node)


def _reported_at_s(seen: SeenNode | BadNode) -> float | None:
    return seen.reported_at_s if isinstance(seen, SeenNode) else None


def _leave(known: _Observed, reason: str, now_s: float) -> None:
    if known.gone is None:
        known.gone = as_left(known.node, NodeLeft(at_s=now_s, reason=reason))

"""The health of nodes over time; a node stays the same object while it and its verdicts are the same."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.detail import NodeDetail
from cluster.health.judge import with_health
from cluster.inventory import Node
from cluster.telemetry import NodeReading


class HealthWatch:
    """Judges nodes again and again; `keep` forgets those that are gone."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Node, Node]] = {}

    def judge(self, node: Node, reading: NodeReading | None, detail: NodeDetail | None, now_s: float) -> Node:
        """Return the node with the health of its GPUs."""
        judged, last = with_health(node, reading, detail), self._last.get(node.node_id)
        if last is None or last[0] is not node or last[1] != judged:
            self._last[node.node_id] = last = (node, judged)
        return last[1]

    def keep(self, node_ids: Iterable[str]) -> None:
        """Forget all nodes but these."""
        there = set(node_ids)
        self._last = {node_id: known for node_id, known in self._last.items() if node_id in there}

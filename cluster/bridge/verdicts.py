"""The health of one node's GPUs over time; the node stays the same object while the verdicts are the same."""

from __future__ import annotations

from cluster.bridge.inventory_diff import same_verdicts
from cluster.detail import NodeDetail
from cluster.health.judge import with_health
from cluster.inventory import Node
from cluster.telemetry import NodeReading


class Verdicts:
    """Judges one node each time it was read."""

    def __init__(self) -> None:
        self._last: tuple[Node, Node] | None = None

    def on(self, node: Node, reading: NodeReading, detail: NodeDetail | None) -> Node:
        """Return the node with the health of its GPUs.

        Figures in the texts of findings are those of the time when the finding was made.
        """
        judged, last = with_health(node, reading, detail), self._last
        if last is None or last[0] is not node or not same_verdicts(last[1], judged):
            self._last = last = (node, judged)
        return last[1]

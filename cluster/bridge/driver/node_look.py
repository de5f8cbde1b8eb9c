"""What a node's probe answers: the reading each time, inventory and slow figures only when they changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from cluster.detail import NodeDetail
from cluster.inventory import Node
from cluster.telemetry import NodeReading

Stamps = tuple[int, int]
"""Which inventory and which slow figures: a number that no other of the node's answers has, 0 for none."""

NOTHING: Stamps = (0, 0)


@dataclass(frozen=True, slots=True)
class NodeLook:
    """One answer of a probe."""

    reading: NodeReading
    clock_s: float
    """Unix time on the node's clock: clocks differ between nodes."""
    stamps: Stamps
    node: Node | None
    """None: it is the one of the stamps that the question named. So is `detail`."""
    detail: NodeDetail | None


@dataclass
class _Latest:
    value: Any = None
    stamp: int = 0

    def take(self, value: Any) -> int:
        if value is not self.value and value != self.value:
            # The time, because a probe that was started again must not repeat a stamp.
            self.value, self.stamp = value, time.time_ns()
        return self.stamp


@dataclass
class LookMemory:
    """Remembers the last inventory and slow figures of a node, so that only changes are sent."""

    _node: _Latest = field(default_factory=_Latest)
    _detail: _Latest = field(default_factory=_Latest)

    def look(self, node: Node, reading: NodeReading, detail: NodeDetail | None, known: Stamps) -> NodeLook:
        """Return the answer for one who has what the stamps `known` stand for."""
        stamps = (self._node.take(node), self._detail.take(detail))
        return NodeLook(
            reading=reading,
            clock_s=time.time(),
            stamps=stamps,
            node=node if stamps[0] != known[0] else None,
            detail=detail if stamps[1] != known[1] else None,
        )

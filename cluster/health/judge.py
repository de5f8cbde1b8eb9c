"""Judge a node's GPUs by what was last read of them."""

from __future__ import annotations

from cluster.detail import NodeDetail
from cluster.inventory import Node
from cluster.telemetry import NodeReading


def with_health(node: Node, reading: NodeReading | None, detail: NodeDetail | None) -> Node:
    """Return the node with the health of each GPU; one that is unhealthy also gets its `unhealthy_reason`."""
    return node

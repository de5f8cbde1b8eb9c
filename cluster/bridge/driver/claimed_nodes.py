"""Who holds which GPU, written into the inventory; a node whose claims did not change is the same object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cluster.inventory import Node

Claims = tuple[str | None, ...]
"""Who holds each GPU of a node, in order."""


class ClaimedNodes:
    """Adds claims to nodes, and remembers the results."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Node, Claims, Node]] = {}

    def with_claims(self, nodes: Iterable[Node], claims: Mapping[str, str]) -> tuple[Node, ...]:
        """Return the nodes with `claims` (GPU uuid -> who holds it)."""
        made = {node.node_id: self._claimed(node, claims) for node in nodes}
        self._made = made
        return tuple(result for _, _, result in made.values())

    def _claimed(self, node: Node, claims: Mapping[str, str]) -> tuple[Node, Claims, Node]:
        held = tuple(claims.get(gpu.uuid) for gpu in node.gpus)
        last = self._made.get(node.node_id)
        if last is not None and last[0] is node and last[1] == held:
            return last
        if not any(held):
            return node, held, node
        gpus = tuple(
            gpu.model_copy(update={"claimed_by": holder}) if holder else gpu
            for gpu, holder in zip(node.gpus, held, strict=True)
        )
        return node, held, node.model_copy(update={"gpus": gpus})

"""Who holds which GPU, written into the inventory; a node whose claims did not change is the same object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cluster.inventory import Node


@dataclass(frozen=True, slots=True)
class _Made:
    """A node with who holds its GPUs, and what it was made of."""

    node: Node
    uuids: tuple[str, ...]
    held: tuple[str | None, ...]
    """Who holds each GPU, in order."""
    result: Node


class ClaimedNodes:
    """Adds claims to nodes, and remembers the results."""

    def __init__(self) -> None:
        self._made: dict[str, _Made] = {}

    def with_claims(self, nodes: Iterable[Node], claims: Mapping[str, str]) -> tuple[Node, ...]:
        """Return the nodes with `claims` (GPU uuid -> who holds it)."""
        made = {node.node_id: self._claimed(node, claims) for node in nodes}
        self._made = made
        return tuple([one.result for one in made.values()])

    def claims_of(self, node_id: str) -> dict[str, str]:
        """Return who held each GPU of a node at the last call: GPU uuid -> who."""
        made = self._made.get(node_id)
        if made is None or made.result is made.node:
            return {}
        return {uuid: holder for uuid, holder in zip(made.uuids, made.held, strict=True) if holder}

    def _claimed(self, node: Node, claims: Mapping[str, str]) -> _Made:
        last = self._made.get(node.node_id)
        uuids = last.uuids if last is not None and last.node is node else tuple(gpu.uuid for gpu in node.gpus)
        held = tuple(map(claims.get, uuids))
        if last is not None and last.node is node and last.held == held:
            return last
        return _Made(node, uuids, held, claimed(node, claims))


def claimed(node: Node, claims: Mapping[str, str]) -> Node:
    """Return the node with who holds its GPUs; the same object where nobody holds one."""
    if not any(gpu.uuid in claims for gpu in node.gpus):
        return node
    gpus = tuple(
        gpu.model_copy(update={"claimed_by": claims[gpu.uuid]}) if gpu.uuid in claims else gpu
        for gpu in node.gpus
    )
    return node.model_copy(update={"gpus": gpus})


def unclaimed(node: Node) -> Node:
    """Return the node without who holds its GPUs."""
    if all(gpu.claimed_by is None for gpu in node.gpus):
        return node
    gpus = tuple(gpu.model_copy(update={"claimed_by": None}) for gpu in node.gpus)
    return node.model_copy(update={"gpus": gpus})

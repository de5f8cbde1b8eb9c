"""A node that left the cluster: it stays in the inventory for a while, with when, why and what ran there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cluster.deploy.status import DeploymentStatus
from cluster.gpu_health import Finding, Health
from cluster.inventory import Node, NodeLeft

KEPT_S = 600.0
"""How long a dead node is shown unless it is dismissed before."""

MOST_KEPT = 100
"""Dead nodes at once: more are forgotten, the oldest first, however fast a cluster loses them."""

_CODE = "node_left"


def as_left(node: Node, left: NodeLeft) -> Node:
    """Return the node as it was last seen, with GPUs that nothing can be planned on."""
    reason = f"its node left the cluster: {left.reason}"
    health = Health(state="unhealthy", findings=(Finding(code=_CODE, state="unhealthy", text=reason),))
    gone = {"unhealthy_reason": reason, "health": health, "memory_free_bytes": None, "processes": ()}
    gpus = tuple(gpu.model_copy(update=gone) for gpu in node.gpus)
    error = f"the node left the cluster: {left.reason}"
    return node.model_copy(update={"gpus": gpus, "left": left, "error": error})


def without_returned(nodes: list[Node]) -> list[Node]:
    """Return the nodes, dead ones without GPUs that a living one has: such a node came back under another id.

    Claims, plans and histories go by a GPU's uuid, so it must not be there twice.
    """
    if all(node.left is None for node in nodes):
        return nodes
    living = {gpu.uuid for node in nodes if node.left is None for gpu in node.gpus}
    return [node if node.left is None else _without(node, living) for node in nodes]


def _without(dead: Node, living: set[str]) -> Node:
    gpus = tuple(gpu for gpu in dead.gpus if gpu.uuid not in living)
    return dead if len(gpus) == len(dead.gpus) else dead.model_copy(update={"gpus": gpus})


def forgotten(died_at_s: Mapping[str, float], now_s: float) -> list[str]:
    """Return the ids of the dead nodes to be forgotten: those dead for long, and the first of too many."""
    latest_first = sorted(died_at_s.items(), key=lambda item: -item[1])
    return [
        node_id
        for rank, (node_id, at_s) in enumerate(latest_first)
        if rank >= MOST_KEPT or now_s - at_s > KEPT_S
    ]


def held_by_node(statuses: Iterable[DeploymentStatus]) -> dict[str, tuple[str, ...]]:
    """Return what of ours runs on each node, by node id: 'llama-70b R0 rank 0'."""
    held: dict[str, list[str]] = {}
    for status in statuses:
        staged = status.layout is not None and status.layout.pp > 1
        for rank in status.ranks:
            stage = f" stage {rank.stage}" if staged else ""
            held.setdefault(rank.node_id, []).append(f"{status.name} R{rank.replica}{stage} rank {rank.rank}")
    return {node_id: tuple(names) for node_id, names in held.items()}

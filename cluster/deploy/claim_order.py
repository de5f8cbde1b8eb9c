"""Claim the GPUs of some of an order's ranks, node by node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cluster.deploy.actor_kind import actor_kind
from cluster.deploy.claims import NodeClaim, Slot
from cluster.deploy.spec import DeploymentSpec, RankPlace

_CLAIM_S = 60.0
_CLAIM_GPU_S = 10.0
"""Seconds that claiming GPUs of one node may take, and more for each GPU: a process starts on each."""


def claimed_nodes(
    ray: Any, spec: DeploymentSpec, places: Iterable[RankPlace], is_called_off: Callable[[], bool]
) -> Iterator[tuple[str, dict[int, Slot]]]:
    """Yield each node's id and its claimed slots by GPU index.

    Raises DeployFailed for a GPU that cannot be claimed; what was yielded before stays claimed.
    """
    for node_id, own in _by_node(places).items():
        claim = NodeClaim(
            ray, spec.name, node_id, own[0].node_name, actor_kind(spec), is_called_off=is_called_off
        )
        deadline_s = _CLAIM_S + _CLAIM_GPU_S * len(own)
        yield node_id, claim.take([place.gpu_index for place in own], deadline_s)


def _by_node(places: Iterable[RankPlace]) -> dict[str, list[RankPlace]]:
    nodes: dict[str, list[RankPlace]] = {}
    for place in places:
        nodes.setdefault(place.node_id, []).append(place)
    return nodes

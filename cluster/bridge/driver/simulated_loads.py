"""The load that simulated GPUs show for the deployments on them."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.bridge.driver.simulated_node import GpuLoad
from cluster.deploy.status import DeploymentStatus, RankState, RankStatus, ReplicaStatus

_HOLDING = {RankState.WARMING_UP, RankState.READY, RankState.STOPPING}
_CONTEXT_SHARE = 0.01
_BUSY_WITH_ONE = 0.35
_REQUESTS_THAT_FILL = 16


def loads_of(statuses: Iterable[DeploymentStatus]) -> dict[str, list[GpuLoad]]:
    """Return each node's loads: planned bytes fill while a rank loads, use follows its replica's requests."""
    loads: dict[str, list[GpuLoad]] = {}
    for status in statuses:
        replicas = {replica.replica: replica for replica in status.replicas}
        for rank in status.ranks:
            planned = status.planned_bytes_by_gpu.get(rank.gpu_uuid, 0)
            busy = _busy_fraction(replicas.get(rank.replica))
            load = (rank.gpu_index, planned, _held_fraction(rank), busy, status.name)
            loads.setdefault(rank.node_id, []).append(load)
    return loads


def _held_fraction(rank: RankStatus) -> float:
    if rank.state in _HOLDING:
        return 1.0
    if rank.state is RankState.LOADING:
        return max(_CONTEXT_SHARE, rank.progress or 0.0)
    return _CONTEXT_SHARE if rank.state is RankState.JOINING else 0.0


def _busy_fraction(replica: ReplicaStatus | None) -> float:
    if replica is None or not replica.ready or (replica.in_flight == 0 and replica.tokens_per_s == 0):
        return 0.0
    share = min(1.0, max(1, replica.in_flight) / _REQUESTS_THAT_FILL)
    return _BUSY_WITH_ONE + (1.0 - _BUSY_WITH_ONE) * share

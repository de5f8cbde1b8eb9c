"""Whether an order is still valid on the cluster at the moment it is submitted."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.status import DeploymentStatus
from cluster.errors import BadInput, DeployFailed
from cluster.inventory import Cluster, Gpu
from cluster.units import format_gib

_PLAN_AGAIN = "Plan again: the cluster has changed since"


def check_order(spec: DeploymentSpec, cluster: Cluster, running: Iterable[DeploymentStatus]) -> None:
    """Raise DeployFailed or BadInput if a GPU cannot be used any more, or the name is taken."""
    if any(status.name == spec.name for status in running):
        raise BadInput(
            f"a deployment named {spec.name} already exists", "Stop it first, or choose another name"
        )
    if len(spec.ranks) != spec.layout.gpus:
        raise BadInput(f"{spec.label} needs {spec.layout.gpus} GPUs, the order lists {len(spec.ranks)}")
    if len({(rank.node_id, rank.gpu_uuid) for rank in spec.ranks}) != len(spec.ranks):
        raise BadInput(f"{spec.label} puts two ranks on one GPU")
    check_places(spec.ranks, cluster)


def check_places(places: Iterable[RankPlace], cluster: Cluster) -> None:
    """Raise DeployFailed if a GPU is gone, unhealthy, excluded, claimed or full."""
    gpus = {(node.node_id, gpu.uuid): gpu for node in cluster.nodes for gpu in node.gpus}
    for place in places:
        _check_gpu(place, gpus.get((place.node_id, place.gpu_uuid)))


def _check_gpu(place: RankPlace, gpu: Gpu | None) -> None:
    where = f"GPU {place.gpu_index} on {place.node_name}"
    if gpu is None or gpu.index != place.gpu_index:
        raise DeployFailed(f"{where} is no longer in the cluster", _PLAN_AGAIN)
    if not gpu.healthy:
        raise DeployFailed(f"{where} is unhealthy: {gpu.unhealthy_reason}", _PLAN_AGAIN)
    if gpu.excluded_reason is not None:
        raise DeployFailed(f"{where} is excluded: {gpu.excluded_reason}", _PLAN_AGAIN)
    if gpu.claimed_by is not None:
        raise DeployFailed(f"{where} is held by {gpu.claimed_by}", "Stop that first, or plan again")
    free, planned = gpu.memory_free_bytes, place.planned_bytes
    if free is not None and planned is not None and free < planned:
        message = f"{where} has {format_gib(free)} free now, the plan needs {format_gib(planned)}"
        raise DeployFailed(message, _PLAN_AGAIN)

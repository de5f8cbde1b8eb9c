"""The order of a running deployment with more replicas or fewer. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cluster.deploy.order.free_gpus import more_replicas
from cluster.deploy.resized import check_scalable, replicas_of, resized
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import ReplicaStatus
from cluster.inventory import Cluster


def grown(spec: DeploymentSpec, num_replicas: int, cluster: Cluster) -> DeploymentSpec:
    """Return the order with `num_replicas` replicas: the present ones, and new ones on free GPUs.

    New replicas have the layout, engine and launch of the others, and the lowest free numbers. Raises
    DeployFailed that says which GPUs are missing, BadInput for a deployment that cannot be scaled.
    """
    check_scalable(spec, num_replicas)
    taken = set(replicas_of(spec))
    count = num_replicas - len(taken)
    numbers = [number for number in range(num_replicas) if number not in taken][:count]
    ranks = (*spec.ranks, *more_replicas(spec, numbers, cluster))
    return resized(spec.model_copy(update={"ranks": ranks}), num_replicas)


def first_to_end(replicas: Iterable[ReplicaStatus], count: int) -> tuple[int, ...]:
    """Return which replicas end when there are fewer: those that do not serve, then the highest numbers."""
    order = sorted(replicas, key=lambda one: (one.ready, -one.replica))
    return tuple(sorted(one.replica for one in order[:count]))

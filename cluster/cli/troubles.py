"""Recent problems for `status` to report: parts that were restarted, and clusters that were lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cluster.bridge.state.losses import ClusterLoss
from cluster.bridge.state.records import LOCAL_KEY
from cluster.deploy.status import DeploymentStatus, ReplicaStatus, RouterStatus
from cluster.units import count_of, format_duration

_LONGEST_TROUBLE = 160


def trouble_lines(status: DeploymentStatus) -> Iterator[str]:
    """Yield a line for each part of a deployment that was lost or stuck and has recovered."""
    if status.controller_restarts:
        yield f"  controller: {count_of(status.controller_restarts, 'restart')}, each with all replicas"
    if status.router.last_trouble:
        yield f"  router: {_describe_restarts(status.router)}"
    for replica in status.replicas:
        if replica.last_trouble and status.state != "stopping":
            yield f"  replica {replica.replica}: {_describe_restarts(replica)}"


def _describe_restarts(part: RouterStatus | ReplicaStatus) -> str:
    """Describe how often a part was restarted, and its last problem with its age."""
    trouble = part.last_trouble
    trouble = trouble if len(trouble) <= _LONGEST_TROUBLE else f"{trouble[:_LONGEST_TROUBLE]}..."
    ago = f", {format_duration(part.last_trouble_age_s)} ago" if part.last_trouble_age_s is not None else ""
    return f"{count_of(part.restarts, 'restart')}; last problem{ago}: {trouble}"


def loss_line(loss: ClusterLoss) -> str:
    """Describe in one line which cluster was lost, when, why, and which deployments with it."""
    title = "the cluster on this machine" if loss.key == LOCAL_KEY else f"simulated {loss.key}"
    age = format_duration(max(0.0, time.time() - loss.ended_at_s))
    names = ", ".join(loss.deployments)
    also = f"; lost with it: {names}" if names else "; nothing was deployed there"
    return f"{title} was lost {age} ago: {loss.reason}{also}"

"""The state of a deployment as its controller sees it now, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.deploy.lifecycle import deployment_state
from cluster.deploy.raylet_watch import RayletWatch
from cluster.deploy.replica_group import ReplicaGroup
from cluster.deploy.router_link import RouterLink
from cluster.deploy.scaling import Scaling
from cluster.deploy.status import SERVING, DeploymentState


def state_now(
    groups: Sequence[ReplicaGroup],
    router: RouterLink,
    raylets: RayletWatch,
    scaling: Scaling,
    *,
    failure: str | None,
    is_claimed: bool,
    stop_in_s: float | None,
) -> tuple[DeploymentState, str]:
    """Return state and reason; replicas that are being added or taken out do not count.

    `stop_in_s`: seconds until a deployment that stops no longer waits for requests; None: it does not stop.
    """
    views = [group.view() for group in groups if not (group.joining or group.draining)]
    state, reason = deployment_state(views, stopping=stop_in_s is not None, failure=failure)
    if stop_in_s is not None:
        return state, _drain_words(router, stop_in_s) or reason
    if state in SERVING and (trouble := router.trouble_now()):
        # Without a router no request is answered, whatever the replicas do.
        return DeploymentState.STARTING, trouble
    if state is DeploymentState.STARTING and not is_claimed:
        return state, "claiming its GPUs"
    trouble = _silent_process(groups) or _silent_raylet(groups, raylets)
    if state is DeploymentState.READY and trouble:
        return DeploymentState.DEGRADED, trouble
    return state, reason or scaling.words(_in_flight(router))


def _in_flight(router: RouterLink) -> dict[int, int]:
    return {replica: figures.in_flight for replica, figures in router.traffic.items()}


def _drain_words(router: RouterLink, left_s: float) -> str:
    """Say how many requests are waited for; empty when none is."""
    count = sum(_in_flight(router).values())
    if left_s <= 0 or not count or router.endpoint is None:
        return ""
    return f"draining: {count} in flight, at most {left_s:.0f} s more"


def _silent_process(groups: Sequence[ReplicaGroup]) -> str:
    for group in groups:
        if silence := group.silence():
            return f"replica {group.replica}: {silence}"
    return ""


def _silent_raylet(groups: Sequence[ReplicaGroup], raylets: RayletWatch) -> str:
    """Return which of our nodes has a raylet that does not answer; its ranks keep running."""
    silent = raylets.silent()
    for place in (place for group in groups for place in group.places):
        if (silent_s := silent.get(place.node_id)) is not None:
            raylet = f"the raylet of {place.node_name}"
            return f"{raylet} has not answered for {silent_s:.0f} s; its ranks keep running"
    return ""

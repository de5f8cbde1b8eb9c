"""Deployments that change their state, and replicas and routers that restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.incidents.holding import DEPLOYMENT_READY_S
from cluster.incidents.incident import Incident, Severity
from cluster.incidents.settling import Settling
from cluster.units import format_duration

_SEVERITY: dict[DeploymentState, Severity] = {
    DeploymentState.READY: "good",
    DeploymentState.DEGRADED: "warning",
    DeploymentState.FAILED: "bad",
}
_RECOVERS = (DeploymentState.DEGRADED, DeploymentState.READY)


class DeploymentWatch:
    """Compares deployments with what was last known of them."""

    def __init__(self) -> None:
        self._states: Settling[str, DeploymentState] = Settling(
            lambda old, new: DEPLOYMENT_READY_S if (old, new) == _RECOVERS else 0.0
        )
        self._known: dict[str, DeploymentStatus] | None = None
        """None before the first report."""

    def see(self, deployments: Sequence[DeploymentStatus], now_s: float) -> Iterator[Incident]:
        """Report what has changed; `deployments` are all there are."""
        old, now = self._known, {status.name: status for status in deployments}
        self._known = now
        for status in deployments:
            before = None if old is None else old.get(status.name)
            if before is None:
                self._states.forget(status.name)
                self._states.see(status.name, status.state, now_s)
                yield _first(status, now_s, at_start=old is None)
            else:
                yield from _restarts(before, status, now_s)
                yield from self._state(status, now_s)
        for name, status in (old or {}).items():
            if name not in now and status.state is not DeploymentState.STOPPED:
                self._states.forget(name)
                yield Incident(now_s, "deployment", "info", name, "has ended")

    def _state(self, status: DeploymentStatus, now_s: float) -> Iterator[Incident]:
        change = self._states.see(status.name, status.state, now_s)
        if change is None:
            return
        evidence = status.reason
        if change.new is DeploymentState.READY and change.lasted_s is not None:
            evidence = evidence or f"after {format_duration(round(change.lasted_s))}"
        yield _state_incident(status, change.since_s, evidence)


def _first(status: DeploymentStatus, now_s: float, *, at_start: bool) -> Incident:
    began_s = now_s - max(0.0, status.age_s)
    incident = _state_incident(status, began_s, status.reason)
    return Incident(
        incident.at_s,
        "deployment",
        incident.severity,
        status.name,
        incident.what,
        incident.evidence,
        at_start=at_start,
    )


def _state_incident(status: DeploymentStatus, at_s: float, evidence: str) -> Incident:
    severity = _SEVERITY.get(status.state, "info")
    return Incident(at_s, "deployment", severity, status.name, f"is {status.state}", evidence)


def _restarts(before: DeploymentStatus, now: DeploymentStatus, now_s: float) -> Iterator[Incident]:
    known = {replica.replica: replica.restarts for replica in before.replicas}
    for replica in now.replicas:
        if replica.restarts > known.get(replica.replica, replica.restarts):
            what = f"replica {replica.replica} restarts"
            yield Incident(now_s, "deployment", "warning", now.name, what, replica.last_trouble)
    if now.router.restarts > before.router.restarts:
        trouble = now.router.last_trouble
        yield Incident(now_s, "deployment", "warning", now.name, "its router restarts", trouble)
    if now.controller_restarts > before.controller_restarts:
        yield Incident(now_s, "deployment", "warning", now.name, "its controller restarts")

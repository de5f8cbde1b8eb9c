"""A session as a command uses it: the latest state, and waiting for a condition."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    DetailsSeen,
    Event,
    PreflightSeen,
    Progress,
    ReadingsSeen,
    SessionLost,
)
from cluster.bridge.protocol import lost_error
from cluster.bridge.session import Session
from cluster.deploy.preflight import NodeVerdict
from cluster.deploy.status import DeploymentStatus
from cluster.detail import NodeDetail
from cluster.errors import Unreachable
from cluster.health.judge import with_health
from cluster.inventory import Cluster
from cluster.telemetry import UNRELIABLE_STATES, NodeReading

ResultT = TypeVar("ResultT")

LOOK_S = 75.0
"""How long joining may take: Ray itself gives up after 60 s on a machine outside the cluster."""
PROBES_S = 45.0
"""How long the nodes may take to answer once the cluster is joined."""
ENGINES_S = 25.0
"""How long the nodes may take to look up their engines."""
DETAILS_S = 3.0
"""How long slow figures may take once all nodes were read."""
_CLOSE_S = 5.0
_WAIT_S = 0.2


class SessionView:
    """Collects a session's events. Use it in a `with` block, which starts and closes the session."""

    def __init__(self, session: Session, *, shows_progress: bool = True) -> None:
        self.session = session
        self.cluster: Cluster | None = None
        self.readings: tuple[NodeReading, ...] = ()
        self.details: dict[str, NodeDetail] = {}
        """The latest slow figures by node id."""
        self.deployments: tuple[DeploymentStatus, ...] | None = None
        self.preflight: tuple[NodeVerdict, ...] = ()
        """Results of the last preflight, one per node."""
        self._shows_progress = shows_progress
        self._gives_details = getattr(session, "gives_details", True)
        self._lost: SessionLost | None = None
        self._read: tuple[Cluster, tuple[NodeReading, ...]] | None = None
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self.session.start(self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()
        wait_closed = getattr(self.session, "wait_closed", None)
        if wait_closed is not None:
            wait_closed(_CLOSE_S)

    def _take(self, event: Event) -> None:
        with self._changed:
            if isinstance(event, ClusterSeen):
                self.cluster = event.cluster
            elif isinstance(event, ReadingsSeen):
                self.readings = event.nodes
                # Each inventory comes just before the readings that belong to it.
                self._read = (self.cluster, event.nodes) if self.cluster is not None else None
            elif isinstance(event, DetailsSeen):
                self.details |= {detail.node_id: detail for detail in event.nodes}
            elif isinstance(event, DeploymentsSeen):
                self.deployments = event.deployments
            elif isinstance(event, PreflightSeen):
                self.preflight = event.nodes
            elif isinstance(event, SessionLost):
                self._lost = event
            self._changed.notify_all()
        if isinstance(event, Progress) and self._shows_progress:
            say(event.message)

    @property
    def is_lost(self) -> bool:
        """Whether the session has ended; `wait` then raises why."""
        return self._lost is not None

    def wait(self, is_true: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until `is_true` of what was seen; False after the timeout. Raises Unreachable when lost."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not is_true():
                if self._lost is not None:
                    raise lost_error(self._lost)
                if until_s is not None and time.monotonic() > until_s:
                    return False
                # An unlimited wait would block Ctrl-C on some platforms.
                self._changed.wait(_WAIT_S)
        return True

    def find(self, name: str) -> DeploymentStatus | None:
        """Return the latest status of a deployment."""
        return next((status for status in self.deployments or () if status.name == name), None)

    def settled_cluster(self, timeout_s: float = LOOK_S, probes_s: float = PROBES_S) -> Cluster:
        """Return the inventory once every node was read, or is known not to answer in time.

        `timeout_s` is for joining the cluster, `probes_s` for its nodes after that. A node that was not read
        is there with its error.
        """
        self.wait(lambda: self._read is not None, timeout_s)
        self.wait(self._latest_is_answered, probes_s)
        if self._read is None:
            raise Unreachable(f"no inventory of {self.session.title} within {timeout_s:.0f} s")
        self.wait(self._has_details, DETAILS_S)
        return self._settled(*self._read)

    def _has_details(self) -> bool:
        """True when the slow figures of every node that is read have come; simulated ones may have none."""
        cluster, readings = self._read or (Cluster(source="none"), ())
        read = {reading.node_id for reading in readings if reading.state == "ok"}
        return cluster.simulated or not self._gives_details or read <= self.details.keys()

    def _settled(self, cluster: Cluster, readings: tuple[NodeReading, ...]) -> Cluster:
        """Return the cluster with what its nodes show at this moment: a command that reads once does not
        wait until a finding has lasted, as a session that goes on does."""
        by_id = {reading.node_id: reading for reading in readings}
        nodes = tuple(
            node
            if node.left is not None
            else with_health(node, by_id.get(node.node_id), self.details.get(node.node_id))
            for node in cluster.nodes
        )
        return _with_late(cluster.model_copy(update={"nodes": nodes}), readings)

    def _latest_is_answered(self) -> bool:
        """True when the latest inventory's own readings have come, and none of them is still to be taken."""
        read = self._read
        return read is not None and read[0] is self.cluster and _all_answered(*read)

    def cluster_with_engines(self) -> Cluster:
        """Return the settled cluster once its nodes have looked up their engines, or have had time to."""
        cluster = self.settled_cluster()
        self.wait(lambda: self._read is not None and _engines_known(_with_late(*self._read)), ENGINES_S)
        return self._settled(*self._read) if self._read is not None else cluster

    def settled_deployments(self, timeout_s: float = LOOK_S) -> tuple[DeploymentStatus, ...]:
        """Return the deployments once each controller has answered, or as they are known in time."""
        self.wait(lambda: self.deployments is not None, timeout_s)
        self.wait(lambda: all(status.ranks for status in self.deployments or ()), _CLOSE_S)
        return self.deployments or ()


def _all_answered(cluster: Cluster, readings: tuple[NodeReading, ...]) -> bool:
    """True when no node's first answer is still to come.

    A node that hangs before any GPU was seen often shows its other GPUs seconds later.
    """
    seen = {node.node_id for node in cluster.nodes if node.gpus}
    return bool(readings) and not any(
        reading.state == "stale" or (reading.state == "hung" and reading.node_id not in seen)
        for reading in readings
    )


def _engines_known(cluster: Cluster) -> bool:
    """True when every node that could run a deployment, and is not late, has said which engines it has."""
    return cluster.simulated or not any(
        node.gpus and node.engines is None and not node.error for node in cluster.nodes
    )


def _with_late(cluster: Cluster, readings: tuple[NodeReading, ...]) -> Cluster:
    """Return the cluster with an error on each node whose readings cannot be trusted now."""
    late = {reading.node_id: reading for reading in readings if reading.state in UNRELIABLE_STATES}
    nodes = tuple(
        node.model_copy(update={"error": f"no current reading: {late[node.node_id].reason}"})
        if node.node_id in late and not node.error
        else node
        for node in cluster.nodes
    )
    return cluster.model_copy(update={"nodes": nodes})


def finish(future: Future[ResultT], timeout_s: float) -> ResultT:
    """Wait for a request and return its result; raises its error, or Unreachable after the timeout."""
    try:
        return future.result(timeout_s)
    except TimeoutError:
        raise Unreachable(f"no response within {timeout_s:.0f} s") from None


def say(message: str) -> None:
    """Print a line for the person at the terminal: stderr, so that stdout holds only the result."""
    print(f"clusterview: {message}", file=sys.stderr, flush=True)

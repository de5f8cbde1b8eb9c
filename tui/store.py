"""The latest of everything a session has reported, readable from any thread.

The session's thread writes here and posts one message to the screen, which may replace an unread one. So a
screen that is slow to draw skips states instead of queueing them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    DetailsSeen,
    Event,
    Progress,
    ReadingsSeen,
    SessionLost,
    TokenSeen,
)
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.detail import NodeDetail
from cluster.incidents.log import IncidentLog
from cluster.inventory import Cluster
from cluster.telemetry import NodeReading
from tui.history import Curve, History
from tui.incident_feed import IncidentFeed

SILENT_STATES = ("hung", "lost")
_OVER = frozenset({DeploymentState.STOPPED})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known at one moment. `cluster` is None until the session has seen it."""

    cluster: Cluster | None = None
    cluster_version: int = 0
    readings: Mapping[str, NodeReading] = field(default_factory=dict)
    details: Mapping[str, NodeDetail] = field(default_factory=dict)
    deployments: tuple[DeploymentStatus, ...] = ()
    progress: Progress | None = None
    lost: SessionLost | None = None
    interrupted: bool = False
    """The connection broke and is being restored; the rest is the last known state."""

    @property
    def planning_key(self) -> tuple[object, ...]:
        """Changes whenever a plan is out of date: GPUs, claims, deployments, nodes that do not answer."""
        silent = sorted(node for node, reading in self.readings.items() if reading.state in SILENT_STATES)
        return (self.cluster_version, tuple(status.name for status in self.deployments), tuple(silent))

    @property
    def disconnected(self) -> bool:
        """The connection is broken, for now or for good: the data may be old."""
        return self.interrupted or self.lost is not None

    @property
    def simulated(self) -> bool:
        return self.cluster is not None and self.cluster.simulated


class Store:
    """Merges events into a snapshot. Its methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._lock = threading.Lock()
        self._feed = IncidentFeed(clock)
        self._snapshot = Snapshot()
        self._tokens: deque[TokenSeen] = deque()
        self._history = History()

    @property
    def snapshot(self) -> Snapshot:
        return self._snapshot

    @property
    def incidents(self) -> IncidentLog:
        """What has happened since the session began."""
        return self._feed.log

    def history(self, gpu_uuid: str) -> tuple[float, ...]:
        """Utilization of a GPU in percent over the last readings that had one, oldest first."""
        return tuple(value for value in self.curve(gpu_uuid, "utilization_percent") if value is not None)

    def curve(self, gpu_uuid: str, figure: str) -> Curve:
        """Return one of tui.history.FIGURES of a GPU over the last readings."""
        with self._lock:
            return self._history.curve(gpu_uuid, figure)

    def take_tokens(self) -> tuple[TokenSeen, ...]:
        """Return the token events since the last call, in order."""
        with self._lock:
            tokens = tuple(self._tokens)
            self._tokens.clear()
        return tokens

    def apply(self, event: Event) -> None:
        """Merge an event."""
        self._feed.see(event)
        with self._lock:
            if isinstance(event, TokenSeen):
                self._tokens.append(event)
            else:
                self._snapshot = self._merged(self._snapshot, event)

    def _merged(self, old: Snapshot, event: Event) -> Snapshot:
        if isinstance(event, Progress):
            done = event.fraction is not None and event.fraction >= 1.0
            interrupted = old.interrupted or event.interrupted
            lost = None if event.interrupted else old.lost
            return replace(old, progress=None if done else event, interrupted=interrupted, lost=lost)
        if isinstance(event, SessionLost):
            return replace(old, lost=event, progress=None, interrupted=False)
        if old.interrupted:
            # News of the cluster means that the connection is back.
            old = replace(old, interrupted=False, progress=None)
        return self._seen(old, event)

    def _seen(self, old: Snapshot, event: Event) -> Snapshot:
        if isinstance(event, ClusterSeen):
            return self._with_cluster(old, event.cluster)
        if isinstance(event, ReadingsSeen):
            for reading in event.nodes:
                self._history.remember(reading)
            fresh = {reading.node_id: reading for reading in event.nodes}
            return replace(old, readings={**old.readings, **fresh})
        if isinstance(event, DetailsSeen):
            return replace(old, details={**old.details, **{detail.node_id: detail for detail in event.nodes}})
        if isinstance(event, DeploymentsSeen):
            kept = tuple(status for status in event.deployments if status.state not in _OVER)
            return replace(old, deployments=kept)
        return old

    def _with_cluster(self, old: Snapshot, cluster: Cluster) -> Snapshot:
        """Return the snapshot on another inventory, without what was read of nodes that are not in it."""
        there = {node.node_id for node in cluster.nodes}
        self._history.keep(there)
        return replace(
            old,
            cluster=cluster,
            cluster_version=old.cluster_version + 1,
            readings={node: reading for node, reading in old.readings.items() if node in there},
            details={node: detail for node, detail in old.details.items() if node in there},
            progress=None,
            lost=None,
        )

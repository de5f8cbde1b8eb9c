"""From the events of a session to the log of incidents."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    DetailsSeen,
    Event,
    Progress,
    ReadingsSeen,
    SessionLost,
)
from cluster.incidents.incident import Incident
from cluster.incidents.log import IncidentLog
from cluster.incidents.watch import IncidentWatch

_JUMP_S = 2.0
"""A clock that goes back by more begins a new watch: a replay was rewound."""


class IncidentFeed:
    """Watches everything that a session reports. Its methods may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.log = IncidentLog()
        self._clock = clock
        self._lock = threading.Lock()
        self._watch = IncidentWatch()
        self._last_s = 0.0

    def see(self, event: Event) -> None:
        """Add what an event shows to have happened."""
        with self._lock:
            now_s = self._clock()
            if now_s < self._last_s - _JUMP_S:
                self._watch = IncidentWatch()
                self.log.forget_after(now_s)
            self._last_s = now_s
            self.log.add(self._found(event, now_s))

    def _found(self, event: Event, now_s: float) -> list[Incident]:
        watch = self._watch
        if isinstance(event, SessionLost):
            return watch.see_connection(event.reason or "lost", now_s)
        if isinstance(event, Progress):
            return watch.see_connection(event.message, now_s) if event.interrupted else []
        seen: list[Incident] = []
        if isinstance(event, ClusterSeen):
            seen = watch.see_cluster(event.cluster, now_s)
        elif isinstance(event, ReadingsSeen):
            seen = watch.see_readings(event.nodes, now_s)
        elif isinstance(event, DetailsSeen):
            seen = watch.see_details(event.nodes, now_s)
        elif isinstance(event, DeploymentsSeen):
            seen = watch.see_deployments(event.deployments, now_s)
        else:
            return []
        return [*watch.see_connection("", now_s), *seen]

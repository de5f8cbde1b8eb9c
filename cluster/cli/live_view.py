"""A session's readings as a command uses them: all that is known now, joined."""

from __future__ import annotations

import time

from cluster.bridge.events import DetailsSeen, Event, ReadingsSeen
from cluster.bridge.session import Session
from cluster.cli.session_view import SessionView
from cluster.detail import NodeDetail
from cluster.errors import Unreachable
from cluster.inventory import Cluster
from cluster.metrics.live_state import LiveState
from cluster.telemetry import NodeReading

DETAILS_S = 3.0
"""How long slow figures may take once the nodes have answered."""
DEPLOYMENTS_S = 2.0


class LiveView(SessionView):
    """Keeps the latest readings and slow figures of every node."""

    def __init__(self, session: Session, *, shows_progress: bool = True) -> None:
        super().__init__(session, shows_progress=shows_progress)
        self._latest: dict[str, NodeReading] = {}
        self._details: dict[str, NodeDetail] = {}

    def _take(self, event: Event) -> None:
        # Dictionaries are replaced, never changed: others may be going through them.
        if isinstance(event, ReadingsSeen):
            self._latest = {**self._latest, **{one.node_id: one for one in event.nodes}}
        elif isinstance(event, DetailsSeen):
            self._details = {**self._details, **{one.node_id: one for one in event.nodes}}
        super()._take(event)

    def settled(self) -> LiveState:
        """Return the state once every node was read or is known to be late; Unreachable if none was."""
        cluster = self.settled_cluster()
        self.wait(lambda: self._has_details(cluster), DETAILS_S)
        self.wait(lambda: self.deployments is not None, DEPLOYMENTS_S)
        return self.now()

    def now(self) -> LiveState:
        """Return what is known at this moment."""
        if self.cluster is None:
            raise Unreachable(f"no inventory of {self.session.title} yet")
        return LiveState(
            cluster=self.cluster,
            now_s=time.time(),
            title=self.session.title,
            readings=self._latest,
            details=self._details,
            deployments=self.deployments or (),
        )

    def _has_details(self, cluster: Cluster) -> bool:
        """True when every node that answers has sent its slow figures."""
        return all(
            node.node_id in self._details
            for node in cluster.nodes
            if node.gpus and (read := self._latest.get(node.node_id)) is not None and read.state == "ok"
        )

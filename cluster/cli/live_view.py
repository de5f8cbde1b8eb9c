"""A session's readings as a command uses them: all that is known now, joined."""

from __future__ import annotations

import time

from cluster.bridge.events import Event, ReadingsSeen
from cluster.bridge.session import Session
from cluster.cli.ray_inventory import OBSERVED_S
from cluster.cli.session_view import PROBES_S, SessionView
from cluster.errors import Unreachable
from cluster.inventory import Cluster
from cluster.metrics.live_state import LiveState
from cluster.telemetry import NodeReading

DEPLOYMENTS_S = 2.0
"""How long the list of deployments may take once the nodes have answered."""


class LiveView(SessionView):
    """Keeps the latest readings of every node."""

    def __init__(self, session: Session, *, shows_progress: bool = True) -> None:
        super().__init__(session, shows_progress=shows_progress)
        self._latest: dict[str, NodeReading] = {}

    def _take(self, event: Event) -> None:
        if isinstance(event, ReadingsSeen):
            # Replaced, never changed: others may be going through it.
            self._latest = {**self._latest, **{one.node_id: one for one in event.nodes}}
        super()._take(event)

    def settled(self) -> LiveState:
        """Return the state once every node was read or is known to be late; Unreachable if none was."""
        cluster = self.settled_cluster(probes_s=PROBES_S if self._gives_details else OBSERVED_S)
        if self.session.can_deploy:
            self.wait(lambda: self.deployments is not None, DEPLOYMENTS_S)
        return self._state_of(cluster)

    def now(self) -> LiveState:
        """Return what is known at this moment."""
        if self.cluster is None:
            raise Unreachable(f"no inventory of {self.session.title} yet")
        return self._state_of(self.cluster)

    def _state_of(self, cluster: Cluster) -> LiveState:
        return LiveState(
            cluster=cluster,
            now_s=time.time(),
            title=self.session.title,
            readings=self._latest,
            details=dict(self.details),
            deployments=self.deployments or (),
        )

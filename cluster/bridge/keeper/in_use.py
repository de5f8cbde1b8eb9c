"""Whether an embedded cluster is in use: a session is connected, or a deployment runs on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from cluster.bridge.keeper.clients import KeeperClients
from cluster.bridge.keeper.embedded import EmbeddedCluster
from cluster.bridge.state.losses import note_deployments
from cluster.deploy.names import CONTROLLER_PREFIX
from cluster.process_table import reap_orphans

UNWANTED = "no session is waiting for it"

_FIRST_SESSION_S = 20.0
_UNUSED_S = 1.0
_LOOK_S = 0.5


class HeadEnded(RuntimeError):
    """The processes of the cluster's head ended, so the cluster is lost."""


def watch_start(clients: KeeperClients, end: Callable[[str], None]) -> None:
    """End a cluster that is still starting when all sessions that waited for it have left."""
    left_at_s: float | None = None
    while not clients.is_up:
        time.sleep(_LOOK_S)
        alone = clients.had_sessions and clients.count() == 0
        left_at_s = (left_at_s or time.monotonic()) if alone else None
        if left_at_s is not None and time.monotonic() - left_at_s > _UNUSED_S and not clients.is_up:
            end(UNWANTED)
            return


def wait_until_unneeded(cluster: EmbeddedCluster, clients: KeeperClients, temp_dir: str) -> None:
    """Wait until no session is connected and nothing is deployed; raises HeadEnded when the head is first.

    Meanwhile ended processes are reaped, and the deployments are recorded in case the cluster is lost.
    """
    unneeded_at_s = time.monotonic() + (_UNUSED_S if clients.had_sessions else _FIRST_SESSION_S)
    deployed: list[str] = []
    while True:
        time.sleep(_LOOK_S)
        reap_orphans(cluster.pids())
        if clients.count() > 0:
            unneeded_at_s = time.monotonic() + _UNUSED_S
        if not cluster.head_lives():
            raise HeadEnded("the processes of the cluster's head ended")
        before, deployed = deployed, _deployed(cluster, deployed)
        if deployed != before:
            note_deployments(temp_dir, deployed)
        if time.monotonic() > unneeded_at_s:
            if not deployed:
                return
            unneeded_at_s = time.monotonic() + _UNUSED_S


def _deployed(cluster: EmbeddedCluster, before: list[str]) -> list[str]:
    """Return the names of the deployments, or the previous ones if Ray's head does not respond."""
    try:
        return cluster.named_actors(CONTROLLER_PREFIX)
    except Exception as error:  # whether the head lives is seen at the next look
        sys.stderr.write(f"keeper: {error!r}\n")
        return before

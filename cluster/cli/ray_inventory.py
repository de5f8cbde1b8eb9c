"""Look at a running Ray cluster once, through a session of its own."""

from __future__ import annotations

import queue
import sys
import time

from cluster.bridge.events import ClusterSeen, Event, Progress, SessionLost
from cluster.bridge.open_session import open_session
from cluster.errors import Unreachable
from cluster.inventory import Cluster

LOOK_TIMEOUT_S = 60.0


def read_ray_cluster(address: str, timeout_s: float = LOOK_TIMEOUT_S) -> Cluster:
    """Return the cluster at a Ray address as its nodes report it; Unreachable when none answers in time."""
    session = open_session(address=address, simulate=None)
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    session.start(events.put)
    try:
        return _first_cluster(events, address, timeout_s)
    finally:
        session.close()


def _first_cluster(events: queue.SimpleQueue[Event], address: str, timeout_s: float) -> Cluster:
    deadline_s = time.monotonic() + timeout_s
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            event = events.get(timeout=left_s)
        except queue.Empty:
            break
        if isinstance(event, ClusterSeen):
            return event.cluster
        if isinstance(event, SessionLost):
            raise Unreachable(event.reason, event.hint)
        if isinstance(event, Progress) and sys.stderr.isatty():
            print(f"clusterview: {event.message}", file=sys.stderr)
    raise Unreachable(
        f"Ray at {address} did not answer within {timeout_s:.0f} s", "Is a Ray head running there?"
    )

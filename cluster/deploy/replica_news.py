"""What a controller tells its router about a replica."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cluster.deploy.router.replica_pool import ReplicaStats


@dataclass(frozen=True, slots=True)
class ReplicaNews:
    """The controller's report on a replica. `start` changes when its processes are new."""

    replica: int
    start: int
    leader: Any
    ready: bool
    stats: ReplicaStats
    endpoint: str | None = None
    """Base URL of the engine's own server; None for the built-in engine, and while there is none."""
    api_key: str | None = field(default=None, repr=False)
    """Key that this server asks for."""
    draining: bool = False
    """No new requests go there; those in flight go on."""

"""The health check of all replicas: each engine's own proof that it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from cluster.deploy.router.balancer import Balancer
from cluster.deploy.router.replica_pool import BalancedReplica, ReplicaError


@dataclass(frozen=True, slots=True)
class ReplicaHealth:
    """The result for one replica. `reason` says why it is unhealthy."""

    replica: str
    ready: bool
    healthy: bool
    reason: str | None = None
    duration_s: float | None = None


class HealthCheck:
    """Checks all replicas concurrently. Callers that arrive during a check share its result."""

    def __init__(self, balancer: Balancer[Any], deadline_s: float, clock: Callable[[], float]) -> None:
        self._balancer, self._deadline_s, self._clock = balancer, deadline_s, clock
        self._running: asyncio.Task[list[ReplicaHealth]] | None = None

    async def check(self) -> list[ReplicaHealth]:
        """Return the result of every replica within the deadline, and pause those that fail."""
        if self._running is None or self._running.done():
            self._running = asyncio.ensure_future(self._check_all())
        return await asyncio.shield(self._running)

    async def _check_all(self) -> list[ReplicaHealth]:
        replicas = self._balancer.pool.replicas()
        return list(await asyncio.gather(*(self._check(replica) for replica in replicas)))

    async def _check(self, replica: BalancedReplica) -> ReplicaHealth:
        if not replica.ready:
            return ReplicaHealth(replica.name, ready=False, healthy=False, reason=_why_not_ready(replica))
        began_s = self._clock()
        reason = await self._failure(replica)
        if reason is not None:
            self._balancer.eject(replica.name)
        took_s = self._clock() - began_s
        return ReplicaHealth(
            replica.name, ready=True, healthy=reason is None, reason=reason, duration_s=took_s
        )

    async def _failure(self, replica: BalancedReplica) -> str | None:
        try:
            # The replica is given the same deadline; this one applies even if it ignores that.
            await asyncio.wait_for(replica.health(self._deadline_s), 1.1 * self._deadline_s)
        except TimeoutError:
            return f"no token within {self._deadline_s:g} s"
        except ReplicaError as error:
            return str(error)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return None


def _why_not_ready(replica: BalancedReplica) -> str:
    states = replica.stats().rank_states
    return f"ranks are {', '.join(sorted(set(states)))}" if states else "not ready"


def health_body(verdicts: list[ReplicaHealth]) -> tuple[int, dict[str, object]]:
    """Return the HTTP status and body: 200 if some replica is ready and all ready ones are healthy."""
    ready = [verdict for verdict in verdicts if verdict.ready]
    well = bool(ready) and all(verdict.healthy for verdict in ready)
    sick = [f"replica {v.replica}: {v.reason}" for v in verdicts if not v.healthy]
    return (200 if well else 503), {
        "status": "ok" if well else "unavailable",
        "reasons": sick or ([] if well else ["there are no replicas"]),
        "replicas": [asdict(verdict) for verdict in verdicts],
    }

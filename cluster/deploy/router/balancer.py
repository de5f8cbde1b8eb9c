"""Load balancing: chooses a replica per request, pauses replicas that fail, and drains."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic

from cluster.deploy.router.api_errors import ApiError, unavailable
from cluster.deploy.router.metrics import RouterMetrics
from cluster.deploy.router.replica_pool import ReplicaPool, ReplicaT, least_outstanding

_FIRST_EJECTION_S = 1.0
_LONGEST_EJECTION_S = 30.0
_DRAIN_LOOK_S = 0.05


@dataclass
class ReplicaCounts:
    """The router's own counters for one replica."""

    requests_total: int = 0
    in_flight: int = 0
    failures_in_a_row: int = 0
    ejected_until_s: float = 0.0


@dataclass
class Route:
    """Which replicas a request was sent to. Filled in while it is served."""

    replica: str | None = None
    tried: set[str] = field(default_factory=set)
    last_failure: str = ""


class Balancer(Generic[ReplicaT]):
    """Least outstanding requests over ready replicas. Times are of `clock`, in seconds."""

    def __init__(
        self,
        pool: ReplicaPool[ReplicaT],
        metrics: RouterMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_in_flight_per_replica: int = 256,
    ) -> None:
        self.pool, self.metrics, self.clock = pool, metrics, clock
        self._max_in_flight = max_in_flight_per_replica
        self._counts: dict[str, ReplicaCounts] = {}
        self._draining = False

    def counts(self, name: str) -> ReplicaCounts:
        """Return the counters of a replica."""
        return self._counts.setdefault(name, ReplicaCounts())

    def choose(self, route: Route) -> ReplicaT:
        """Return a replica that the route has not tried, and note it there.

        Raises ApiError(503) when none is ready, 429 when all are full.
        """
        if self._draining:
            raise unavailable("this deployment is stopping")
        left = self._untried(route)
        if not left:
            raise unavailable(f"no replica can answer: {self._why_none(route)}")
        now_s = self.clock()
        # If all of them are paused, try one of them anyway.
        sound = [r for r in left if self.counts(r.name).ejected_until_s <= now_s] or left
        outstanding = {r.name: max(self.counts(r.name).in_flight, r.in_flight) for r in sound}
        served = {r.name: self.counts(r.name).requests_total for r in sound}
        chosen = least_outstanding(sound, outstanding, served)
        if outstanding[chosen.name] >= self._max_in_flight:
            message = f"every replica has {self._max_in_flight} requests in flight; try again later"
            raise ApiError(429, message, code="queue_full", retry_after_s=1)
        route.replica = chosen.name
        route.tried.add(chosen.name)
        return chosen

    def has_another(self, route: Route) -> bool:
        """Return whether a ready replica is left that the route has not tried."""
        return not self._draining and bool(self._untried(route))

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Count a request as in flight on a replica."""
        counts = self.counts(name)
        counts.requests_total += 1
        counts.in_flight += 1
        try:
            yield
        finally:
            counts.in_flight -= 1

    def answered(self, name: str) -> None:
        """Note that a replica works: its next failure counts as the first."""
        self.counts(name).failures_in_a_row = 0

    def eject(self, name: str) -> None:
        """Send no requests to a replica for a while, twice as long after each failure in a row."""
        counts = self.counts(name)
        pause_s = min(_LONGEST_EJECTION_S, _FIRST_EJECTION_S * 2.0 ** min(counts.failures_in_a_row, 10))
        counts.failures_in_a_row += 1
        counts.ejected_until_s = self.clock() + pause_s
        self.metrics.replica_failed(name)

    def forget(self, name: str) -> None:
        """Forget the failures and the traffic of a replica whose processes are new."""
        self.metrics.forget(name)
        counts = self.counts(name)
        counts.failures_in_a_row, counts.ejected_until_s = 0, 0.0

    async def drain(self, deadline_s: float) -> bool:
        """Refuse new requests; return True when all requests in flight end before the deadline."""
        self._draining = True
        until_s = self.clock() + deadline_s
        while any(counts.in_flight for counts in self._counts.values()):
            if self.clock() >= until_s:
                return False
            await asyncio.sleep(_DRAIN_LOOK_S)
        return True

    def _untried(self, route: Route) -> list[ReplicaT]:
        return [one for one in self.pool.replicas() if one.ready and one.name not in route.tried]

    def _why_none(self, route: Route) -> str:
        if not route.tried:
            return f"0 of {len(self.pool.replicas())} replicas are ready"
        last = f" (the last one: {route.last_failure})" if route.last_failure else ""
        return f"every ready replica failed{last}"

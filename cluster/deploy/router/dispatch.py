"""Load balancing: chooses a replica per request, pauses replicas that fail, and retries where it is safe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cluster.deploy.router.api_errors import ApiError, unavailable
from cluster.deploy.router.metrics import RouterMetrics
from cluster.deploy.router.replica_pool import (
    GeneratedToken,
    Replica,
    ReplicaError,
    ReplicaPool,
    SamplingParams,
    least_outstanding,
)
from cluster.errors import BadInput

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


class Dispatcher:
    """Least outstanding requests over ready replicas. Times are of `clock`, in seconds."""

    def __init__(
        self,
        pool: ReplicaPool,
        metrics: RouterMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_in_flight_per_replica: int = 256,
    ) -> None:
        self.pool, self.metrics, self._clock = pool, metrics, clock
        self._max_in_flight = max_in_flight_per_replica
        self._counts: dict[str, ReplicaCounts] = {}
        self._draining = False

    def counts(self, name: str) -> ReplicaCounts:
        """Return the counters of a replica."""
        return self._counts.setdefault(name, ReplicaCounts())

    async def generate(
        self, prompt_ids: list[int], params: SamplingParams, route: Route
    ) -> AsyncGenerator[GeneratedToken, None]:
        """Yield an answer's tokens. If a replica fails before its first token, another one is tried.

        Raises ApiError(429 or 503) when none can take the request, ReplicaError when one fails after that.
        """
        while True:
            replica = self._choose(route.tried)
            route.replica = replica.name
            route.tried.add(replica.name)
            num_tokens = 0
            try:
                async with self._serving(replica, prompt_ids, params) as tokens:
                    async for token in tokens:
                        num_tokens += 1
                        yield token
                return
            except ReplicaError:
                if num_tokens:
                    raise

    @asynccontextmanager
    async def _serving(
        self, replica: Replica, prompt_ids: list[int], params: SamplingParams
    ) -> AsyncIterator[AsyncIterator[GeneratedToken]]:
        counts = self.counts(replica.name)
        counts.requests_total += 1
        counts.in_flight += 1
        self.metrics.request_began(replica.name, len(prompt_ids))
        tokens = replica.generate(prompt_ids, params)
        watched = self._watched(replica, tokens)
        try:
            yield watched
        except ReplicaError as error:
            self.eject(replica.name, str(error))
            raise
        finally:
            counts.in_flight -= 1
            await watched.aclose()
            # Closing the stream tells the replica to stop generating.
            close = getattr(tokens, "aclose", None)
            if close is not None:
                await close()

    async def _watched(
        self, replica: Replica, tokens: AsyncIterator[GeneratedToken]
    ) -> AsyncGenerator[GeneratedToken, None]:
        began_s = last_s = self._clock()
        first, finished = True, False
        try:
            async for token in tokens:
                now_s = self._clock()
                since_s = now_s - (began_s if first else last_s)
                self.metrics.token_came(replica.name, since_s, first=first)
                first, last_s = False, now_s
                finished = token.finish_reason is not None
                yield token
        except (ReplicaError, BadInput, asyncio.CancelledError):
            # A request that the model rejects is not a failure of the replica.
            raise
        except Exception as error:
            # Any other exception counts as a failure of this replica, and must not take the router down.
            raise ReplicaError(f"{type(error).__name__}: {error}") from error
        if not finished:
            raise ReplicaError("the answer ended without a finish reason")
        self.counts(replica.name).failures_in_a_row = 0

    def _choose(self, tried: Collection[str]) -> Replica:
        if self._draining:
            raise unavailable("this deployment is stopping")
        ready = [replica for replica in self.pool.replicas() if replica.ready]
        left = [replica for replica in ready if replica.name not in tried]
        if not left:
            total = len(self.pool.replicas())
            why = "every ready replica failed" if tried else f"0 of {total} replicas are ready"
            raise unavailable(f"no replica can answer: {why}")
        now_s = self._clock()
        # If all of them are paused, try one of them anyway.
        sound = [r for r in left if self.counts(r.name).ejected_until_s <= now_s] or left
        outstanding = {r.name: max(self.counts(r.name).in_flight, r.in_flight) for r in sound}
        served = {r.name: self.counts(r.name).requests_total for r in sound}
        chosen = least_outstanding(sound, outstanding, served)
        if outstanding[chosen.name] >= self._max_in_flight:
            message = f"every replica has {self._max_in_flight} requests in flight; try again later"
            raise ApiError(429, message, code="queue_full", retry_after_s=1)
        return chosen

    def eject(self, name: str, reason: str) -> None:
        """Send no requests to a replica for a while, twice as long after each failure in a row."""
        counts = self.counts(name)
        pause_s = min(_LONGEST_EJECTION_S, _FIRST_EJECTION_S * 2.0**counts.failures_in_a_row)
        counts.failures_in_a_row += 1
        counts.ejected_until_s = self._clock() + pause_s
        self.metrics.replica_failed(name)

    async def drain(self, deadline_s: float) -> bool:
        """Refuse new requests; return True when all requests in flight end before the deadline."""
        self._draining = True
        until_s = self._clock() + deadline_s
        while any(counts.in_flight for counts in self._counts.values()):
            if self._clock() >= until_s:
                return False
            await asyncio.sleep(_DRAIN_LOOK_S)
        return True

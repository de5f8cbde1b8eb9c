"""Sends a request of the built-in engine to a replica, and to another one where that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from cluster.deploy.router.balancer import Balancer, Route
from cluster.deploy.router.replica_pool import GeneratedToken, Replica, ReplicaError, SamplingParams
from cluster.deploy.router.request_watch import RequestWatch
from cluster.errors import BadInput


class Dispatcher:
    """Token streams of the replicas that a balancer chooses."""

    def __init__(self, balancer: Balancer[Replica]) -> None:
        self._balancer = balancer

    async def generate(
        self, prompt_ids: list[int], params: SamplingParams, route: Route
    ) -> AsyncGenerator[GeneratedToken, None]:
        """Yield an answer's tokens. If a replica fails before its first token, another one is tried.

        Raises ApiError(429 or 503) when none can take the request, ReplicaError when one fails after that.
        """
        while True:
            replica = self._balancer.choose(route)
            num_tokens = 0
            try:
                async with self._serving(replica, prompt_ids, params) as tokens:
                    async for token in tokens:
                        num_tokens += 1
                        yield token
                return
            except ReplicaError as error:
                route.last_failure = str(error)
                if num_tokens:
                    raise

    @asynccontextmanager
    async def _serving(
        self, replica: Replica, prompt_ids: list[int], params: SamplingParams
    ) -> AsyncIterator[AsyncIterator[GeneratedToken]]:
        with self._balancer.holding(replica.name):
            tokens = replica.generate(prompt_ids, params)
            watched = self._watched(replica, tokens, len(prompt_ids))
            try:
                yield watched
            except ReplicaError:
                self._balancer.eject(replica.name)
                raise
            finally:
                await watched.aclose()
                # Closing the stream tells the replica to stop generating.
                close = getattr(tokens, "aclose", None)
                if close is not None:
                    await close()

    async def _watched(
        self, replica: Replica, tokens: AsyncIterator[GeneratedToken], num_prompt_tokens: int
    ) -> AsyncGenerator[GeneratedToken, None]:
        watch = RequestWatch(self._balancer.metrics, replica.name, self._balancer.clock)
        watch.prompt_tokens(num_prompt_tokens)
        finished = False
        try:
            async for token in tokens:
                watch.token_came()
                if token.finish_reason is not None:
                    finished = True
                    watch.finished(token.finish_reason)
                yield token
        except (ReplicaError, BadInput, asyncio.CancelledError):
            # A request that the model rejects is not a failure of the replica.
            raise
        except Exception as error:
            # Any other exception counts as a failure of this replica, and must not take the router down.
            raise ReplicaError(f"{type(error).__name__}: {error}") from error
        if not finished:
            raise ReplicaError("the answer ended without a finish reason")
        self._balancer.answered(replica.name)

"""A replica of the built-in engine behind its leader's actor."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

from cluster.deploy.rank_actor import Token
from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.replica_pool import GeneratedToken, ReplicaError, ReplicaStats, SamplingParams
from cluster.errors import BadInput


class RayReplica:
    """A replica behind its leader's actor. One stream brings the tokens of all its requests."""

    def __init__(self, news: ReplicaNews) -> None:
        self._news = news
        self._ids = itertools.count(1)
        self._queues: dict[str, asyncio.Queue[Token]] = {}
        self._broken: str | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self._news.replica)

    @property
    def start(self) -> int:
        return self._news.start

    @property
    def ready(self) -> bool:
        return self._news.ready and not self._news.draining and self._broken is None

    @property
    def in_flight(self) -> int:
        return len(self._queues)

    def stats(self) -> ReplicaStats:
        return self._news.stats

    def update(self, news: ReplicaNews) -> None:
        """Apply an update on the same start."""
        self._news = news

    async def health(self, deadline_s: float) -> None:
        try:
            await asyncio.wait_for(_ignore(self._news.leader.prove.remote(deadline_s)), deadline_s + 1.0)
        except TimeoutError:
            raise ReplicaError(f"no token came through all ranks within {deadline_s:.0f} s") from None
        except Exception as error:
            raise ReplicaError(_last_line(error)) from error

    async def generate(self, prompt_ids: list[int], params: SamplingParams) -> AsyncIterator[GeneratedToken]:
        if self._broken is not None:
            raise ReplicaError(self._broken)
        if self._pump is None:
            self._pump = asyncio.create_task(self._pump_tokens())
        request_id = f"r{next(self._ids)}"
        queue = self._queues[request_id] = asyncio.Queue()
        finished = False
        try:
            await self._submit(request_id, prompt_ids, params)
            while not finished:
                _, token_id, finished, reason, error = await queue.get()
                if error is not None or reason in ("error", "cancelled"):
                    raise ReplicaError(error or f"the answer was {reason}")
                if token_id is not None:
                    yield GeneratedToken(
                        token_id, "stop" if reason == "stop" else "length" if finished else None
                    )
        finally:
            self._queues.pop(request_id, None)
            if not finished and self._broken is None:
                self._news.leader.cancel.remote(request_id)

    async def _submit(self, request_id: str, prompt_ids: list[int], params: SamplingParams) -> None:
        try:
            await self._news.leader.submit.remote(
                request_id, prompt_ids, params.max_tokens, params.temperature, params.top_p, params.seed
            )
        except Exception as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, BadInput):
                raise BadInput(cause.message, cause.hint) from None
            raise ReplicaError(_last_line(error)) from error

    async def _pump_tokens(self) -> None:
        try:
            stream = self._news.leader.tokens.options(num_returns="streaming").remote()
            async for batch in stream:
                for token in await batch:
                    if (queue := self._queues.get(token[0])) is not None:
                        queue.put_nowait(token)
            self.abandon("its token stream ended")
        except Exception as error:
            self.abandon(_last_line(error))

    def abandon(self, reason: str) -> None:
        """Fail every open request: the processes behind this replica are gone."""
        self._broken = reason
        for request_id, queue in self._queues.items():
            queue.put_nowait((request_id, None, True, "error", reason))
        if self._pump is not None:
            self._pump.cancel()


async def _ignore(ref: Any) -> None:
    await ref


def _last_line(error: Exception) -> str:
    cause = getattr(error, "cause", None)
    message = getattr(cause, "message", None)
    if isinstance(message, str) and message:
        return message
    lines = []
    with contextlib.suppress(Exception):
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

"""Queues in front of the processes that prepare requests. Small bodies go first; a process that exceeds its
limits is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.prepare import Kind, Prepared, Settings
from cluster.deploy.router.prepare_child import PrepareChild
from cluster.deploy.router.router_limits import (
    LARGE_REQUESTS,
    SMALL_REQUESTS,
    BodyLimits,
    PrepareLimits,
    body_limits,
)


@dataclass(order=True, slots=True)
class _Job:
    """A unit of work, ordered by size so that small ones never wait behind large ones."""

    size: int
    number: int
    work: Callable[[], Any] = field(compare=False)
    future: Future[Any] = field(compare=False, default_factory=Future)


class PrepareQueue:
    """One queue, and the thread that hands its requests to one process."""

    def __init__(self, settings: Settings, limits: PrepareLimits) -> None:
        self._settings, self._limits = settings, limits
        self._child: PrepareChild | None = None
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._closed = False
        # Blocks on the process, so that the event loop does not.
        self._thread = threading.Thread(target=self._work, name="prepare", daemon=True)
        self._thread.start()

    def warm_up(self) -> None:
        """Start the process before the first request. Returns at once."""
        self._put(0, self._running)

    async def prepare(self, kind: Kind, body: bytes) -> Prepared:
        """Return what a body asks for; ApiError when it is invalid or exceeds the limits."""
        if self._closed or self._jobs.qsize() >= self._limits.max_waiting:
            raise _busy()
        job = self._put(len(body), lambda: self._ask(kind, body))
        answer = asyncio.wrap_future(job.future)
        try:
            await asyncio.wait({answer}, timeout=self._limits.queue_s)
            # cancel() succeeds only for a job that has not started.
            if job.future.cancel():
                raise _busy()
            prepared: Prepared = await answer
            return prepared
        finally:
            answer.cancel()

    def close(self) -> None:
        """End the process. Requests that it is preparing, or that wait, fail."""
        if self._closed:
            return
        self._closed = True
        if self._child is not None:
            self._child.kill()
        self._put(-1, self._end)
        self._thread.join()

    def _put(self, size: int, work: Callable[[], Any]) -> _Job:
        job = _Job(size, next(self._numbers), work)
        self._jobs.put(job)
        return job

    def _work(self) -> None:
        while not (self._closed and self._jobs.empty()):
            job = self._jobs.get()
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                job.future.set_result(job.work())
            except BaseException as error:
                job.future.set_exception(error)

    def _ask(self, kind: Kind, body: bytes) -> Prepared:
        if self._closed:
            raise _busy()
        child = self._running()
        try:
            return child.ask(kind, body)
        finally:
            if child.ended and not self._closed:
                # Start a new one now, so that the next request need not wait for it.
                self._end()
                with contextlib.suppress(OSError):
                    self._child = PrepareChild(self._settings, self._limits)

    def _running(self) -> PrepareChild:
        try:
            if self._child is None or self._child.ended:
                self._end()
                self._child = PrepareChild(self._settings, self._limits)
            self._child.await_ready()
        except OSError as error:
            message = f"the router cannot start a process to prepare requests: {error.strerror}"
            raise ApiError(503, message, code="preparation_failed", retry_after_s=5) from error
        except ApiError:
            self._end()
            raise
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()


class Preparer:
    """Three queues, so that neither large bodies nor a slow chat template delay other requests."""

    def __init__(
        self,
        settings: Settings,
        *,
        small: PrepareLimits = SMALL_REQUESTS,
        large: PrepareLimits = LARGE_REQUESTS,
    ) -> None:
        self.settings = settings
        self.limits: BodyLimits = body_limits(settings.max_model_len)
        self._completions, self._chats = PrepareQueue(settings, small), PrepareQueue(settings, small)
        self._large = PrepareQueue(settings, large)

    def warm_up(self) -> None:
        """Start the processes for small requests. The one for large bodies starts on demand."""
        self._completions.warm_up()
        self._chats.warm_up()

    async def prepare(self, kind: Kind, body: bytes) -> Prepared:
        """Return what a body asks for; ApiError when it is invalid or exceeds the limits."""
        return await self._queue_for(kind, len(body)).prepare(kind, body)

    def _queue_for(self, kind: Kind, size: int) -> PrepareQueue:
        if size > self.limits.small_bytes:
            return self._large
        return self._chats if kind == "chat" else self._completions

    def close(self) -> None:
        """End all processes."""
        for one in (self._completions, self._chats, self._large):
            one.close()


def _busy() -> ApiError:
    message = "too many requests are waiting to be prepared; try again later"
    return ApiError(503, message, code="busy", retry_after_s=1)

"""Requests prepared one by one in a process of their own, which is replaced when one costs too much."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

from cluster.deploy.router.errors import ApiError
from cluster.deploy.router.limits import LARGE_LANE, SMALL_LANE, BodyLimits, LaneLimits, body_limits
from cluster.deploy.router.prepare import Kind, Prepared, Settings
from cluster.deploy.router.prepare_child import PrepareChild


class Lane:
    """One queue with one process behind it."""

    def __init__(self, settings: Settings, limits: LaneLimits) -> None:
        self._settings, self._limits = settings, limits
        self._child: PrepareChild | None = None
        # The only thread that talks to the process: it waits, so that the event loop does not.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._num_waiting = 0
        self._closed = False

    def warm_up(self) -> None:
        """Start the process before the first request comes. Returns at once."""
        self._thread.submit(self._running)

    async def prepare(self, kind: Kind, body: bytes) -> Prepared:
        """Return what a body asks for; ApiError says what is wrong with it, or that it cost too much."""
        if self._num_waiting >= self._limits.max_waiting:
            raise _busy()
        self._num_waiting += 1
        try:
            begin_until_s = time.monotonic() + self._limits.queue_s
            return await asyncio.wrap_future(self._thread.submit(self._work, kind, body, begin_until_s))
        finally:
            self._num_waiting -= 1

    def close(self) -> None:
        """End the process; what is being prepared fails."""
        if self._closed:
            return
        self._closed = True
        if self._child is not None:
            self._child.kill()
        self._thread.submit(self._end)
        self._thread.shutdown(wait=True)

    def _work(self, kind: Kind, body: bytes, begin_until_s: float) -> Prepared:
        if time.monotonic() > begin_until_s:
            raise _busy()
        child = self._running()
        try:
            return child.ask(kind, body)
        finally:
            if child.ended and not self._closed:
                # Started again at once, so that the next request finds it ready.
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
    """Three lanes, so that neither large bodies nor a slow chat template hold up the other requests."""

    def __init__(
        self, settings: Settings, *, small: LaneLimits = SMALL_LANE, large: LaneLimits = LARGE_LANE
    ) -> None:
        self.settings = settings
        self.limits: BodyLimits = body_limits(settings.max_model_len)
        self._completions, self._chats = Lane(settings, small), Lane(settings, small)
        self._large = Lane(settings, large)

    def warm_up(self) -> None:
        """Start the processes that most requests need; the one for large bodies starts with the first."""
        self._completions.warm_up()
        self._chats.warm_up()

    async def prepare(self, kind: Kind, body: bytes) -> Prepared:
        """Return what a body asks for; ApiError says what is wrong with it, or that it cost too much."""
        return await self._lane(kind, len(body)).prepare(kind, body)

    def _lane(self, kind: Kind, size: int) -> Lane:
        if size > self.limits.small_bytes:
            return self._large
        return self._chats if kind == "chat" else self._completions

    def close(self) -> None:
        """End all processes."""
        for lane in (self._completions, self._chats, self._large):
            lane.close()


def _busy() -> ApiError:
    message = "too many requests are waiting to be prepared; try again later"
    return ApiError(503, message, code="busy", retry_after_s=1)

"""One request on one server, from sending it to the last byte of its answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import ExitStack

import aiohttp

from cluster.deploy.router.balancer import Balancer
from cluster.deploy.router.proxy.answer_reader import EVENT_STREAM, AnswerReader, reader_for
from cluster.deploy.router.proxy.headers import RawHeaders, headers_to_client
from cluster.deploy.router.proxy.paths import asks_for_answer
from cluster.deploy.router.proxy.server_replica import ForwardedRequest, ServerReplica
from cluster.deploy.router.replica_pool import ReplicaError
from cluster.deploy.router.request_watch import RequestWatch

_SERVER_FAILED = frozenset({500, 502, 503})
_ERROR_EVENT = b'data: {"error"'


class Exchange:
    """Counts as in flight on its replica until it is closed. Closing it early stops the server's work."""

    def __init__(self, balancer: Balancer[ServerReplica], replica: ServerReplica) -> None:
        self._balancer, self._replica = balancer, replica
        self._stack = ExitStack()
        self._stack.enter_context(balancer.holding(replica.name))
        self._stack.enter_context(replica.counted())
        self._response: aiohttp.ClientResponse | None = None
        self._reader: AnswerReader | None = None
        self._first = b""
        self.status = 0
        self.headers: RawHeaders = []

    @property
    def is_stream(self) -> bool:
        """Whether the answer comes as server-sent events."""
        return self._content_type().startswith(EVENT_STREAM)

    @property
    def failed(self) -> bool:
        """Whether the server says that it failed, before any part of an answer.

        That can be the request's fault too, so it is no reason to pause the replica.
        """
        return self.status in _SERVER_FAILED or (self.is_stream and self._first.startswith(_ERROR_EVENT))

    async def begin(self, request: ForwardedRequest) -> None:
        """Send the request, and return once the first bytes of the answer's body are there.

        Until then nothing has been sent to the client, and another replica can be tried.
        Raises ReplicaError, or TooSlow.
        """
        path = request.target.partition("?")[0]
        watch = None
        if asks_for_answer(request.method, path):
            watch = RequestWatch(self._balancer.metrics, self._replica.name, self._balancer.clock)
        self._response = await self._replica.send(request)
        self._stack.callback(self._response.close)
        self.status = self._response.status
        if self.status < 200:
            raise ReplicaError(f"its server answered with status {self.status}")
        self.headers = headers_to_client(self._response.raw_headers)
        if watch is not None and self.status == 200:
            self._reader = reader_for(self._content_type(), watch)
        self._first = await self._read()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes. Raises ReplicaError when it breaks off, or TooSlow."""
        piece = self._first
        while piece:
            if self._reader is not None:
                self._reader.feed(piece)
            yield piece
            try:
                piece = await self._read()
            except ReplicaError:
                self.pause_replica()
                raise
        if self._reader is not None:
            self._reader.end()
        if self.status < 500:
            self._balancer.answered(self._replica.name)

    def pause_replica(self) -> None:
        """Send no requests to this server for a while, unless its processes are known to be gone anyway."""
        if not self._replica.is_abandoned:
            self._balancer.eject(self._replica.name)

    def close(self) -> None:
        """End the exchange. A complete answer's connection is kept for the next request."""
        self._stack.close()

    async def _read(self) -> bytes:
        assert self._response is not None
        with self._replica.errors():
            return await self._response.content.readany()

    def _content_type(self) -> bytes:
        return next((value.lower() for name, value in self.headers if name == b"content-type"), b"")

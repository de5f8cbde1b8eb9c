"""A replica that is an engine's own HTTP server: its connections, and what can go wrong with them."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import WeakSet

import aiohttp
from yarl import URL

from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.proxy.headers import headers_to_server
from cluster.deploy.router.replica_pool import ReplicaError, ReplicaStats

CONNECT_S = 5.0
SILENT_S = 900.0
"""A server may take this long for its first byte, and between two pieces of a stream. An answer that is not
streamed is silent until it is complete."""
# Below the 5 s after which the engines' servers close an idle connection: no request meets a closed one.
_KEEP_ALIVE_S = 2.0
_MOST_HEADER_BYTES = 16 * 1024
_READ_BYTES = 64 * 1024
_LARGE_BODY_BYTES = 512 * 1024


class TooSlow(Exception):
    """A server has the request and stayed silent for too long. Not retried: another one would be as slow."""


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """A request as it is sent to a server: `target` is path and query, percent-encoded."""

    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


class ServerReplica:
    """One server, with a pool of connections that is closed when its processes are gone."""

    def __init__(self, news: ReplicaNews) -> None:
        self._news = news
        self._session: aiohttp.ClientSession | None = None
        self._responses: WeakSet[aiohttp.ClientResponse] = WeakSet()
        self._open = 0
        self._broken: str | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return str(self._news.replica)

    @property
    def start(self) -> int:
        return self._news.start

    @property
    def ready(self) -> bool:
        news = self._news
        return news.ready and not news.draining and news.endpoint is not None and self._broken is None

    @property
    def in_flight(self) -> int:
        return self._open

    @property
    def is_abandoned(self) -> bool:
        """Whether its processes are gone; others may have taken its name."""
        return self._broken is not None

    def stats(self) -> ReplicaStats:
        return self._news.stats

    def update(self, news: ReplicaNews) -> None:
        """Apply a report on the same start."""
        self._news = news

    def abandon(self, reason: str) -> None:
        """Fail every open request: the processes behind this replica are gone."""
        self._broken = reason
        # Closing the session fails requests that wait for a head, but does not wake those that read a body.
        for response in list(self._responses):
            response.close()
        if self._session is not None:
            self._closing = asyncio.ensure_future(self._session.close())

    async def health(self, deadline_s: float) -> None:
        """Ask the server. Its node agent proves all the time that it generates; here it must be reachable."""
        try:
            async with asyncio.timeout(deadline_s):
                response = await self.send(ForwardedRequest("GET", "/health"))
        except TimeoutError:
            raise ReplicaError(f"its server did not answer within {deadline_s:.0f} s") from None
        response.close()
        if response.status != 200:
            raise ReplicaError(f"its server's /health answers {response.status}")

    async def send(self, request: ForwardedRequest) -> aiohttp.ClientResponse:
        """Return the answer as soon as its head is there. Raises ReplicaError, or TooSlow.

        The caller closes the answer, which tells a server that has not finished to stop.
        """
        endpoint = self._news.endpoint
        if self._broken is not None or endpoint is None:
            raise ReplicaError(self._broken or "its server does not listen yet")
        with self.errors():
            response = await self._connections().request(
                request.method,
                URL(endpoint.rstrip("/") + request.target, encoded=True),
                headers=headers_to_server(request.headers, self._news.api_key),
                data=_payload(request.body),
                allow_redirects=False,
            )
        self._responses.add(response)
        return response

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request as open."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the client's errors into ReplicaError or TooSlow, without internal addresses."""
        try:
            yield
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError):
            raise self._failure("its server does not accept connections") from None
        except aiohttp.ServerTimeoutError:
            raise TooSlow(f"its server has been silent for {SILENT_S:.0f} s") from None
        except aiohttp.ClientPayloadError:
            raise self._failure("its server's answer broke off") from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, OSError):
            raise self._failure("its server closed the connection") from None
        except aiohttp.ClientResponseError:
            raise self._failure("its server's answer is not valid HTTP") from None
        except (aiohttp.ClientError, ValueError, RuntimeError) as error:
            raise self._failure(f"its server cannot be asked ({type(error).__name__})") from None

    def _failure(self, reason: str) -> ReplicaError:
        return ReplicaError(self._broken or reason)

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The number of clients bounds the number of connections.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
                read_bufsize=_READ_BYTES,
                max_line_size=_MOST_HEADER_BYTES,
                max_field_size=_MOST_HEADER_BYTES,
            )
        return self._session


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    # Large bodies are written piece by piece, so that they do not hold up other requests.
    return (io.BytesIO(body) if len(body) > _LARGE_BODY_BYTES else body) or None

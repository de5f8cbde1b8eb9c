"""Routers over echo replicas, called in-process or over a real loopback socket."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cluster.deploy.router.balancer import Balancer
from cluster.deploy.router.http_app import make_app
from cluster.deploy.router.prepare import Settings
from cluster.deploy.router.preparer import Preparer
from cluster.deploy.router.router_limits import ConnectionLimits
from cluster.deploy.router.server import RouterServer, listening_socket
from tests.cluster.deploy.router.echo import ByteTokenizer, EchoPool, EchoReplica

MODEL = "echo/echo-1"
CONTEXT = 200
VOCAB_SIZE = 257


@functools.cache
def preparer() -> Preparer:
    """The prepare processes, shared by all tests of the session."""
    return Preparer(Settings(MODEL, CONTEXT, None, VOCAB_SIZE))


@dataclass
class Served:
    """A router, its replicas and a client."""

    app: Starlette
    replicas: tuple[EchoReplica, ...]
    client: httpx.AsyncClient

    @property
    def balancer(self) -> Balancer[Any]:
        balancer = self.app.state.balancer
        assert isinstance(balancer, Balancer)
        return balancer

    async def complete(self, prompt: Any = "abc", **fields: Any) -> httpx.Response:
        """Ask for a completion."""
        body = {"model": MODEL, "prompt": prompt, "max_tokens": 50, **fields}
        return await self.client.post("/v1/completions", json=body)

    async def chat(self, text: str = "abc", **fields: Any) -> httpx.Response:
        """Ask for a chat completion."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
        return await self.client.post("/v1/chat/completions", json=body)


Serve = Callable[..., Served]


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def serve(clock: Clock) -> AsyncIterator[Serve]:
    """Build a router in-process: serve(EchoReplica('0'), EchoReplica('1'))."""
    async with contextlib.AsyncExitStack() as stack:

        def build(*replicas: EchoReplica, **options: Any) -> Served:
            members = replicas or (EchoReplica("0"),)
            app = make_router(members, clock=clock, **options)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            json_type = {"content-type": "application/json"}
            client = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=json_type)
            stack.push_async_callback(client.aclose)
            return Served(app, members, client)

        yield build


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Any]]:
    """Build a router with its own server on a free loopback port; returns its base URL."""
    servers: list[tuple[RunningServer, asyncio.Task[None]]] = []

    async def build(*replicas: EchoReplica, limits: ConnectionLimits | None = None, **options: Any) -> str:
        limits = limits or ConnectionLimits()
        sock = listening_socket("127.0.0.1", 0, limits)
        app = make_router(replicas, **options)
        server = RunningServer(app, limits, preparer().limits.max_bytes)
        servers.append((server, asyncio.create_task(server.serve(sockets=[sock]))))
        while not server.started:
            await asyncio.sleep(0.01)
        return f"http://127.0.0.1:{sock.getsockname()[1]}"

    yield build
    for server, task in servers:
        server.should_exit = True
        server.force_exit = True
        await task


def make_router(replicas: tuple[EchoReplica, ...], **options: Any) -> Starlette:
    """Build the application over replicas; requests are prepared by the shared processes."""
    options.setdefault("preparer", preparer())
    return make_app(EchoPool(*replicas), tokenizer=ByteTokenizer(), **options)


class RunningServer(RouterServer):  # type: ignore[misc]
    """The server of a router, without signal handlers of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

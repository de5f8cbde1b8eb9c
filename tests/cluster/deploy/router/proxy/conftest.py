"""Proxies over engine servers, on real loopback sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.balancer import Balancer
from cluster.deploy.router.proxy.proxy_app import make_proxy_app
from cluster.deploy.router.proxy.server_replica import ServerReplica
from cluster.deploy.router.replica_pool import ReplicaStats
from cluster.deploy.router.router_limits import PROXY_BODIES, ConnectionLimits
from cluster.deploy.router.server import listening_socket
from cluster.deploy.router_pool import ReportedPool
from tests.cluster.deploy.router.conftest import RunningServer
from tests.cluster.deploy.router.proxy.upstreams import Engine, end_server

MODEL = "tiny"


@dataclass
class Proxy:
    """A router over servers, and a client of it."""

    app: Starlette
    pool: ReportedPool[ServerReplica]
    news: list[ReplicaNews]
    url: str
    client: httpx.AsyncClient
    engines: list[Engine] = field(default_factory=list)

    @property
    def balancer(self) -> Balancer[Any]:
        balancer = self.app.state.balancer
        assert isinstance(balancer, Balancer)
        return balancer

    def tell(self, number: int, **changes: Any) -> None:
        """Report a change of a replica."""
        self.news[number] = replace(self.news[number], **changes)
        self.pool.update(self.news)

    async def complete(self, prompt: str = "abc", **fields: Any) -> httpx.Response:
        """Ask for a completion."""
        return await self.client.post("/v1/completions", json={"model": MODEL, "prompt": prompt, **fields})

    def traffic(self, name: str = "0") -> Any:
        """Return the traffic figures of a replica."""
        return self.balancer.metrics.traffic(name).figures(self.balancer.counts(name).in_flight)


MakeProxy = Callable[..., Awaitable[Proxy]]


def news_for(endpoint: str | None, number: int, **more: Any) -> ReplicaNews:
    """Return the report on a ready server."""
    stats = ReplicaStats(rank_states=("ready",))
    return ReplicaNews(number, 1, None, True, stats, endpoint=endpoint, **more)


@pytest.fixture
async def proxy() -> AsyncIterator[MakeProxy]:
    """Build a router: await proxy(Engine(), 'http://127.0.0.1:1', api_key='k')."""
    async with contextlib.AsyncExitStack() as stack:

        async def build(*upstreams: Engine | str, api_key: str | None = None, **options: Any) -> Proxy:
            engines = [await one.start() for one in upstreams if isinstance(one, Engine)]
            for engine in engines:
                stack.push_async_callback(engine.stop)
            urls = [one.url if isinstance(one, Engine) else one for one in upstreams]
            news = [news_for(url, number, api_key=api_key) for number, url in enumerate(urls)]
            pool = ReportedPool(ServerReplica)
            pool.update(news)
            app = make_proxy_app(pool, model_name=MODEL, **options)
            pool.on_new_start = app.state.balancer.forget
            url = await _listen(stack, app)
            client = httpx.AsyncClient(base_url=url, timeout=60)
            stack.push_async_callback(client.aclose)
            stack.callback(pool.update, [])
            return Proxy(app, pool, news, url, client, engines)

        yield build


async def _listen(stack: contextlib.AsyncExitStack, app: Starlette) -> str:
    limits = ConnectionLimits()
    sock = listening_socket("127.0.0.1", 0, limits)
    server = RunningServer(app, limits, PROXY_BODIES.max_bytes)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    stack.push_async_callback(end_server, server, task)
    while not server.started:
        await asyncio.sleep(0.01)
    return f"http://127.0.0.1:{sock.getsockname()[1]}"

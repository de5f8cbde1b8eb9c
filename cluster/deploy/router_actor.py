"""The actor that serves a deployment's HTTP and spreads requests over its replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from cluster.deploy.controller_watch import ControllerWatch
from cluster.deploy.listen_address import check_key, is_loopback
from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router.traffic import TrafficFigures
from cluster.deploy.spec import DeploymentSpec


class RouterActor:
    """HTTP on the order's address, and prompts from screens."""

    def __init__(self, spec: DeploymentSpec, controller_pid: int, gcs_address: str) -> None:
        from cluster.deploy.router.access import AccessRules

        check_key(spec)
        self._host = spec.router_host
        rules = AccessRules(spec.api_key_sha256, spec.allowed_hosts, not is_loopback(spec.router_host))
        self._front = _front(spec, rules)
        self._front.pool.on_new_start = self._front.balancer.forget
        self._serving: asyncio.Task[None] | None = None
        self._controller = ControllerWatch(controller_pid, gcs_address)

    async def serve(self, port: int) -> int:
        """Listen on `port` if that is free (0: any); return the port."""
        from cluster.deploy.router.router_limits import connection_limits
        from cluster.deploy.router.server import RouterServer, listening_socket

        limits = connection_limits(self._front.files_per_client)
        listener = listening_socket(self._host, port, limits)
        server = RouterServer(self._front.app, limits, self._front.max_body_bytes)
        self._serving = asyncio.create_task(server.serve(sockets=[listener]))
        return int(listener.getsockname()[1])

    async def update(self, news: list[ReplicaNews]) -> dict[int, TrafficFigures]:
        """Take in the replicas as they are now; return the traffic that users had with each of them."""
        self._controller.hear()
        self._front.pool.update(news)
        return {item.replica: self._traffic(str(item.replica)) for item in news}

    async def drain(self, deadline_s: float) -> bool:
        """Take no more requests; True when all in flight have ended in time."""
        return bool(await self._front.balancer.drain(deadline_s))

    async def prompt(self, text: str, max_tokens: int) -> AsyncIterator[tuple[str, int | None]]:
        """Yield the answer to a prompt piece by piece, each with the replica it comes from."""
        async for piece in self._front.prompt(text, max_tokens):
            yield piece

    def _traffic(self, replica: str) -> TrafficFigures:
        balancer = self._front.balancer
        figures: TrafficFigures = balancer.metrics.traffic(replica).figures(
            balancer.counts(replica).in_flight
        )
        return figures


def _front(spec: DeploymentSpec, rules: Any) -> Any:
    """Return what serves this order's engine; each imports only what it needs on the router's node."""
    if spec.server is not None:
        from cluster.deploy.server_front import ServerFront

        return ServerFront(spec.server, rules)
    from cluster.deploy.builtin_front import BuiltinFront

    return BuiltinFront(spec, rules)

"""The router in front of engine servers: it passes HTTP on, and knows neither tokenizer nor model."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cluster.deploy.router.access import AccessRules
from cluster.deploy.router.balancer import Route
from cluster.deploy.router.proxy.prompt_stream import prompt_text
from cluster.deploy.router.proxy.proxy_app import make_proxy_app
from cluster.deploy.router.proxy.server_replica import ServerReplica
from cluster.deploy.router.router_limits import PROXY_BODIES
from cluster.deploy.router.screen_errors import errors_without_http
from cluster.deploy.router_pool import ReportedPool
from cluster.deploy.spec import ServerPlan


class ServerFront:
    """What a router actor needs for engines that run as processes."""

    def __init__(self, server: ServerPlan, rules: AccessRules) -> None:
        self._model = server.launch.served_name
        self.pool = ReportedPool(ServerReplica)
        self.app = make_proxy_app(self.pool, model_name=self._model, rules=rules)
        self.balancer = self.app.state.balancer
        self.max_body_bytes = PROXY_BODIES.max_bytes
        self.files_per_client = 2

    async def prompt(self, text: str, max_tokens: int) -> AsyncIterator[tuple[str, int | None]]:
        """Yield the answer to a prompt piece by piece, each with the replica it comes from."""
        route = Route()
        clean = text.encode("utf-8", "replace").decode()
        with errors_without_http():
            pieces = prompt_text(self.app.state.forwarder, self._model, clean, max_tokens, route)
            async for piece in pieces:
                yield piece, None if route.replica is None else int(route.replica)

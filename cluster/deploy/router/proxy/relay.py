"""The handler of everything that is passed on to the engines' servers."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.balancer import Route
from cluster.deploy.router.handlers import REPLICA_HEADER
from cluster.deploy.router.proxy.exchange import Exchange
from cluster.deploy.router.proxy.forwarder import Forwarder
from cluster.deploy.router.proxy.paths import forwarded_path
from cluster.deploy.router.proxy.server_replica import ForwardedRequest, TooSlow
from cluster.deploy.router.replica_pool import ReplicaError
from cluster.deploy.router.request_body import BodyReader
from cluster.deploy.router.streaming import ClientLeft, event, unless_client_leaves


class Relay:
    """An ASGI application: Starlette's responses would only copy what is passed on as it is."""

    def __init__(self, forwarder: Forwarder, bodies: BodyReader) -> None:
        self._forwarder, self._bodies = forwarder, bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        path = forwarded_path(scope["method"], scope["path"])
        query = scope["query_string"].decode("latin-1")
        target = f"{path}?{query}" if query else path
        try:
            route = Route()
            exchange = await self._begin(Request(scope, receive), target, route)
            try:
                await unless_client_leaves(receive, _send_answer(exchange, route, send))
            finally:
                exchange.close()
        except (ClientLeft, ClientDisconnect):
            self._forwarder.balancer.metrics.client_left()

    async def _begin(self, request: Request, target: str, route: Route) -> Exchange:
        async with self._bodies.read(request) as body:
            headers = tuple(request.scope["headers"])
            forwarded = ForwardedRequest(request.method, target, headers, body)
            work = self._forwarder.begin(forwarded, route)
            return await unless_client_leaves(request.receive, work)


async def _send_answer(exchange: Exchange, route: Route, send: Send) -> None:
    headers = [*exchange.headers, (REPLICA_HEADER.encode(), (route.replica or "").encode())]
    await send({"type": "http.response.start", "status": exchange.status, "headers": headers})
    try:
        async for piece in exchange.pieces():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except (ReplicaError, TooSlow) as error:
        if not exchange.is_stream:
            # The client must not take half an answer for a whole one: this closes its connection.
            raise
        failure = ApiError(
            503, f"replica {route.replica} failed while answering: {error}", code="replica_failed"
        )
        # The blank line ends an event that broke off.
        await send({"type": "http.response.body", "body": b"\n\n" + event(failure.body()), "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})

"""What happens to every request before and after its handler."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.deploy.router.errors import ApiError
from cluster.deploy.router.metrics import RouterMetrics

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class CountResponses:
    """Books the status of every answer."""

    def __init__(self, app: ASGIApp, metrics: RouterMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.responded(message["status"])
            await send(message)

        await self._app(scope, receive, counted)


class RefuseForeignPages:
    """Refuses what a web page from elsewhere sends through the user's browser to this loopback address.

    Only browsers say where a request originates; programs are not concerned.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin") if scope["type"] == "http" else None
        if origin is None or _is_loopback(origin):
            await self._app(scope, receive, send)
            return
        refusal = ApiError(403, "pages from other sites may not use this address", code="foreign_origin")
        await refusal.response()(scope, receive, send)


def _is_loopback(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK_NAMES
    except ValueError:
        return False

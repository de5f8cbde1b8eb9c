"""ASGI middleware that counts responses by status."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.deploy.router.metrics import RouterMetrics


class CountResponses:
    """Counts the status of every response."""

    def __init__(self, app: ASGIApp, metrics: RouterMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.responded(message["status"])
            await send(message)

        await self._app(scope, receive, counted)

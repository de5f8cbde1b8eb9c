"""The handlers of /health and /metrics, the same for every engine."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cluster.deploy.router.access import AccessRules
from cluster.deploy.router.health import HealthCheck, health_body
from cluster.deploy.router.metrics import RouterMetrics

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class PublicPaths:
    """What monitoring asks for."""

    def __init__(self, health: HealthCheck, metrics: RouterMetrics, rules: AccessRules) -> None:
        self._health, self._metrics, self._rules = health, metrics, rules

    def routes(self) -> list[Route]:
        """Return the routes of this class."""
        return [Route("/health", self.health), Route("/metrics", self.metrics)]

    async def health(self, request: Request) -> Response:
        """GET /health. Strangers on a network learn only whether the deployment answers."""
        status, body = health_body(await self._health.check())
        if not self._rules.may_see_details(request.headers):
            body = {"status": body["status"]}
        return JSONResponse(body, status_code=status)

    async def metrics(self, request: Request) -> Response:
        """GET /metrics."""
        return Response(self._metrics.text(), headers={"content-type": _METRICS_TYPE})

"""Sends a request to the best replica, and to another one as long as the client has got nothing."""

from __future__ import annotations

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.balancer import Balancer, Route
from cluster.deploy.router.proxy.exchange import Exchange
from cluster.deploy.router.proxy.server_replica import ForwardedRequest, ServerReplica, TooSlow
from cluster.deploy.router.replica_pool import ReplicaError

_MOST_SERVER_ERRORS = 2
"""Servers that are tried when each answers with an error of its own; then the client gets that error."""


class Forwarder:
    """Chooses a server for each request."""

    def __init__(self, balancer: Balancer[ServerReplica]) -> None:
        self.balancer = balancer

    async def begin(self, request: ForwardedRequest, route: Route) -> Exchange:
        """Return an answer that has begun; the caller closes it.

        A server that cannot be reached or breaks off is paused. Raises ApiError(429, 503 or 504).
        """
        num_errors = 0
        while True:
            exchange = Exchange(self.balancer, self.balancer.choose(route))
            try:
                if await self._has_begun(exchange, request, route):
                    num_errors += exchange.failed
                    if not (exchange.failed and self._may_retry(route, num_errors)):
                        return exchange
                    route.last_failure = f"its server answered with status {exchange.status}"
            except BaseException:
                exchange.close()
                raise
            exchange.close()

    def _may_retry(self, route: Route, num_errors: int) -> bool:
        return num_errors < _MOST_SERVER_ERRORS and self.balancer.has_another(route)

    async def _has_begun(self, exchange: Exchange, request: ForwardedRequest, route: Route) -> bool:
        try:
            await exchange.begin(request)
        except ReplicaError as error:
            exchange.pause_replica()
            route.last_failure = str(error)
            return False
        except TooSlow as error:
            raise ApiError(504, f"replica {route.replica}: {error}", code="replica_too_slow") from None
        return True

"""Puts the proxy's Starlette application together."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.routing import Route

from cluster.deploy.router.access import AccessRules
from cluster.deploy.router.balancer import Balancer
from cluster.deploy.router.health import HealthCheck
from cluster.deploy.router.http_app import assemble
from cluster.deploy.router.metrics import RouterMetrics
from cluster.deploy.router.proxy.forwarder import Forwarder
from cluster.deploy.router.proxy.relay import Relay
from cluster.deploy.router.proxy.server_replica import ServerReplica
from cluster.deploy.router.public_paths import PublicPaths
from cluster.deploy.router.replica_pool import ReplicaPool
from cluster.deploy.router.request_body import BodyReader
from cluster.deploy.router.router_limits import PROXY_BODIES, BodyLimits


def make_proxy_app(
    pool: ReplicaPool[ServerReplica],
    *,
    model_name: str,
    rules: AccessRules | None = None,
    limits: BodyLimits = PROXY_BODIES,
    health_deadline_s: float = 10.0,
    max_in_flight_per_replica: int = 1024,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Return the application that passes requests on to the servers of `pool`.

    `app.state` has the `balancer`, which counts requests per replica and drains them, and the `forwarder`.
    """
    rules = rules or AccessRules()
    metrics = RouterMetrics(pool, model_name, clock)
    balancer = Balancer(pool, metrics, clock=clock, max_in_flight_per_replica=max_in_flight_per_replica)
    forwarder, bodies = Forwarder(balancer), BodyReader(limits)
    public = PublicPaths(HealthCheck(balancer, health_deadline_s, clock), metrics, rules)
    relay = Route("/{path:path}", Relay(forwarder, bodies))
    app = assemble([*public.routes(), relay], metrics, rules)
    app.state.balancer, app.state.forwarder, app.state.bodies = balancer, forwarder, bodies
    return app

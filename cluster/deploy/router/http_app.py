"""Puts the router's Starlette application together: routes, middleware and error handlers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

from cluster.deploy.router.access import AccessRules, CheckAccess
from cluster.deploy.router.api_errors import ApiError, on_api_error, on_bad_input, on_crash, on_http_error
from cluster.deploy.router.balancer import Balancer
from cluster.deploy.router.content_type import CheckContentType
from cluster.deploy.router.dispatch import Dispatcher
from cluster.deploy.router.handlers import Handlers
from cluster.deploy.router.health import HealthCheck
from cluster.deploy.router.metrics import RouterMetrics
from cluster.deploy.router.middleware import CountResponses
from cluster.deploy.router.preparer import Preparer
from cluster.deploy.router.public_paths import PublicPaths
from cluster.deploy.router.replica_pool import Replica, ReplicaPool
from cluster.deploy.router.tokenizer_protocols import Detokenizer
from cluster.errors import BadInput


def make_app(
    pool: ReplicaPool[Replica],
    *,
    preparer: Preparer,
    tokenizer: Detokenizer,
    rules: AccessRules | None = None,
    health_deadline_s: float = 10.0,
    max_in_flight_per_replica: int = 256,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Return the application that serves `pool`, replicas of the built-in engine, as one OpenAI-style model.

    `preparer` turns bodies into prompts and `tokenizer` tokens into text. Without `rules` no key is needed.
    `app.state` has the `balancer`, which counts requests per replica and drains them, and the `dispatcher`.
    `clock` is monotonic, in seconds.
    """
    rules = rules or AccessRules()
    metrics = RouterMetrics(pool, preparer.settings.model_name, clock)
    balancer = Balancer(pool, metrics, clock=clock, max_in_flight_per_replica=max_in_flight_per_replica)
    dispatcher = Dispatcher(balancer)
    handlers = Handlers(dispatcher, metrics, tokenizer, preparer)
    public = PublicPaths(HealthCheck(balancer, health_deadline_s, clock), metrics, rules)
    app = assemble([*_routes(handlers), *public.routes()], metrics, rules)
    app.state.balancer, app.state.dispatcher, app.state.bodies = balancer, dispatcher, handlers.bodies
    return app


def assemble(routes: Sequence[BaseRoute], metrics: RouterMetrics, rules: AccessRules) -> Starlette:
    """Return an application with these routes, access control, and errors in OpenAI's format."""
    handled: dict[Any, Any] = {
        ApiError: on_api_error,
        BadInput: on_bad_input,
        HTTPException: on_http_error,
        Exception: on_crash,
    }
    return Starlette(
        routes=routes,
        exception_handlers=handled,
        middleware=[
            Middleware(CountResponses, metrics=metrics),
            Middleware(CheckAccess, rules=rules),
            Middleware(CheckContentType),
        ],
    )


def _routes(handlers: Handlers) -> list[Route]:
    return [
        Route("/v1/completions", handlers.completions, methods=["POST"]),
        Route("/v1/chat/completions", handlers.chat, methods=["POST"]),
        Route("/v1/models", handlers.models),
        Route("/v1/models/{model:path}", handlers.model),
    ]

"""The HTTP server of `clusterview metrics`, with the router's rules on hosts, keys and connections."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cluster.deploy.router.access import AccessRules, CheckAccess
from cluster.deploy.router.api_errors import ApiError, on_api_error, on_crash, on_http_error
from cluster.deploy.router.router_limits import connection_limits
from cluster.deploy.router.server import RouterServer
from cluster.errors import BadInput, ClusterviewError, system_failed
from cluster.metrics.text import CONTENT_TYPE

_MOST_BODY_BYTES = 64 * 1024
_BACKLOG = 128


class MetricsServer(RouterServer):
    """Serves until it is told to end by a signal, or by `is_over`, which is asked ten times a second."""

    def __init__(self, app: Any, is_over: Callable[[], bool]) -> None:
        super().__init__(app, connection_limits(), _MOST_BODY_BYTES)
        self._is_over = is_over

    async def on_tick(self, counter: int) -> bool:
        """Check deadlines, and whether to end."""
        return await super().on_tick(counter) or self._is_over()


def make_app(text: Callable[[], bytes], rules: AccessRules) -> Starlette:
    """Return the application; `text` gives the metrics of now, or raises ClusterviewError for a 503."""

    # A plain function: Starlette runs it in a thread, so a large cluster's text delays nobody.
    def metrics(request: Request) -> Response:
        try:
            return Response(text(), headers={"content-type": CONTENT_TYPE})
        except ClusterviewError as error:
            raise ApiError(503, error.one_line()) from error

    handled: dict[Any, Any] = {
        ApiError: on_api_error,
        HTTPException: on_http_error,
        Exception: on_crash,
    }
    return Starlette(
        routes=[Route("/metrics", metrics)],
        exception_handlers=handled,
        middleware=[Middleware(CheckAccess, rules=rules)],
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on exactly this address and port (0: any free one).

    BadInput when this machine does not have the address or the port is taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise BadInput(
            f"cannot listen on {host}: {error.strerror or error}", "Use an address of this machine"
        ) from None
    family, *_, where = found[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refused(host, port, error) from None
    return listener


def _refused(host: str, port: int, error: OSError) -> ClusterviewError:
    what = f"cannot listen on {host} port {port}"
    if error.errno == errno.EADDRINUSE:
        return BadInput(f"{what}: the port is in use", "Choose another with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return BadInput(
            f"{what}: this machine does not have the address", "Use 0.0.0.0 for all of its addresses"
        )
    return system_failed(what, error)

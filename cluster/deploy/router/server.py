"""The router's HTTP server: uvicorn with limits on connections."""

from __future__ import annotations

import functools
import socket
import time
from typing import Any

import uvicorn

from cluster.deploy.router.connections import BoundedProtocol
from cluster.deploy.router.router_limits import ConnectionLimits
from cluster.errors import BadInput

_TICKS_PER_LOOK = 5
_BACKLOG = 1024


class RouterServer(uvicorn.Server):  # type: ignore[misc]
    """Serves `app`, and checks the deadlines of all connections twice a second."""

    def __init__(self, app: Any, limits: ConnectionLimits, most_body_bytes: int) -> None:
        protocol = functools.partial(BoundedProtocol, limits=limits, most_body_bytes=most_body_bytes)
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                # By default uvicorn chooses by which packages happen to be installed.
                ws="none",
                loop="asyncio",
                log_level="critical",
                access_log=False,
                lifespan="off",
                proxy_headers=False,
                timeout_keep_alive=limits.keep_alive_s,
            )
        )

    async def on_tick(self, counter: int) -> bool:
        """Check deadlines on every fifth tick (uvicorn ticks ten times a second)."""
        if counter % _TICKS_PER_LOOK == 0:
            now_s = time.monotonic()
            for connection in list(self.server_state.connections):
                connection.check_deadline(now_s)
        return bool(await super().on_tick(counter))


def listening_socket(host: str, port: int, limits: ConnectionLimits) -> socket.socket:
    """Return a socket bound to `port`, or to any free port if it is taken or 0.

    Raises BadInput when this machine does not have the address `host`.
    """
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except OSError as error:
        raise _no_such_address(host) from error
    # Only where the protocol is named does asyncio turn off Nagle, which can hold up a token for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by every connection: unread data piles up in the router, where the deadline can see it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.send_buffer_bytes)
    try:
        _bind(listener, where)
        # From now on clients wait for the server instead of being refused.
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _no_such_address(host) from error
    return listener


def _bind(listener: socket.socket, where: tuple[Any, ...]) -> None:
    try:
        listener.bind(where)
    except OSError:
        listener.bind((where[0], 0, *where[2:]))


def _no_such_address(host: str) -> BadInput:
    message = f"the router cannot listen on {host}: its node does not have this address"
    return BadInput(message, "Use --host 0.0.0.0, or an address of the cluster's head node")

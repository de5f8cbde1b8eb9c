"""Where the servers of one replica meet, and where its leader listens: chosen anew at each start."""

from __future__ import annotations

import random
import secrets
import socket
from dataclasses import dataclass, field

from cluster.errors import DeployFailed

_PORTS = range(20_000, 30_000)
"""Below the ports that Linux gives to outgoing connections, so that none of those takes them meanwhile."""
_MASTER_PORTS = 8
"""Consecutive ports that an engine may use from its master port on."""
_TRIES = 200


@dataclass(frozen=True, slots=True)
class Meeting:
    """What all members of a replica must agree on."""

    master_address: str
    master_port: int
    http_port: int
    api_key: str = field(repr=False)
    """Key of the leader's server, which listens where other machines reach it."""


def open_meeting(address: str) -> Meeting:
    """Choose free ports at this node's address, and a new key; DeployFailed without free ports."""
    http_port = _free_ports(address, 1)
    return Meeting(
        master_address=address,
        master_port=_free_ports(address, _MASTER_PORTS, not_=http_port),
        http_port=http_port,
        api_key=secrets.token_urlsafe(24),
    )


def _free_ports(address: str, count: int, not_: int = 0) -> int:
    """Return the first of `count` consecutive ports on which nothing listens."""
    for _ in range(_TRIES):
        first = random.choice(_PORTS[:-count])
        ports = range(first, first + count)
        if not_ not in ports and all(_is_free(address, port) for port in ports):
            return first
    raise DeployFailed(f"no {count} free ports at {address} from {_PORTS[0]} to {_PORTS[-1]}")


def _is_free(address: str, port: int) -> bool:
    """Whether the port can be listened on, at this address and at all addresses: engines do either."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for host in (address, ""):
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((host, port))
                listener.listen(1)
            except OSError:
                return False
    return True

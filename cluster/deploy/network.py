"""Which network interface has an address: collectives must use it, and pick the wrong one by default."""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFADDR = 0x8915


def interface_of(address: str) -> str | None:
    """Return the name of the interface with this IPv4 address, None if unknown (or IPv6)."""
    for _, name in socket.if_nameindex():
        if _ipv4_of(name) == address:
            return name
    return None


def _ipv4_of(name: str) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        try:
            answer = fcntl.ioctl(query.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])

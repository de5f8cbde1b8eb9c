"""Messages between the router and its prepare processes: a small JSON header followed by raw bytes."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

_SIZES = struct.Struct(">II")
_MOST_HEAD_BYTES = 1024**2
_MOST_BYTES = 256 * 1024**2


def send_frame(sock: socket.socket, head: dict[str, Any], payload: bytes = b"") -> None:
    """Send a message. The socket's timeout applies."""
    data = json.dumps(head).encode()
    sock.sendall(_SIZES.pack(len(data), len(payload)) + data)
    if payload:
        sock.sendall(payload)


def receive_frame(sock: socket.socket, until_s: float | None = None) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message; None at the end of the stream. `until_s` is of time.monotonic().

    Raises TimeoutError at `until_s`, ValueError for a malformed message.
    """
    sizes = _receive(sock, _SIZES.size, until_s)
    if sizes is None:
        return None
    head_bytes, payload_bytes = _SIZES.unpack(sizes)
    if head_bytes > _MOST_HEAD_BYTES or payload_bytes > _MOST_BYTES:
        raise ValueError("message too large")
    head, payload = _receive(sock, head_bytes, until_s), _receive(sock, payload_bytes, until_s)
    if head is None or payload is None:
        return None
    fields = json.loads(head)
    if not isinstance(fields, dict):
        raise ValueError("message header is not an object")
    return fields, payload


def _receive(sock: socket.socket, size: int, until_s: float | None) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        if until_s is not None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            sock.settimeout(left_s)
        part = sock.recv(min(size - len(data), 1024**2))
        if not part:
            return None
        data += part
    return bytes(data)

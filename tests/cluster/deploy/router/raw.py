"""Hand-written HTTP requests, for behavior that no HTTP client shows."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.cluster.deploy.router.conftest import MODEL

PATIENCE_S = 30.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def until(holds: Callable[[], bool]) -> None:
    """Poll until `holds`; fail after a generous timeout."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


async def connect(url: str, *, receive_buffer_bytes: int | None = None) -> Streams:
    """Open a connection, with a small receive buffer if wanted."""
    where = urlsplit(url)
    sock = socket.socket()
    if receive_buffer_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (where.hostname, where.port))
    return await asyncio.open_connection(sock=sock, limit=4096)


def completion(prompt: Any = "abc", **fields: Any) -> bytes:
    """Return a complete request for a completion."""
    body = json.dumps({"model": MODEL, "prompt": prompt, "max_tokens": 50, **fields}).encode()
    return head(f"content-length: {len(body)}") + body


def head(*lines: str) -> bytes:
    """Return the headers of a request for a completion."""
    return "\r\n".join(
        ["POST /v1/completions HTTP/1.1", "host: localhost", "content-type: application/json", *lines, "", ""]
    ).encode()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read until the connection is closed; return the status (0: none) and everything."""
    async with asyncio.timeout(PATIENCE_S):
        data = b""
        while part := await _read(reader):
            data += part
    return int(data.split()[1]) if data else 0, data


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""

"""Reads request bodies within limits, and counts JSON values before any of them is built in memory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.router_limits import BodyLimits

if TYPE_CHECKING:
    from starlette.requests import Request

# A complete string, or the start of a value. Possessive quantifiers keep it linear in the body's length.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[,\[{]', re.DOTALL)


def check_num_values(body: bytes, most: int) -> None:
    """Raise ApiError(400) when JSON has more values than any valid request. Stops at the first excess one."""
    # A value follows a bracket or comma, and may itself be a string with a name: up to three matches each.
    most_tokens = 3 * most
    for number, _ in enumerate(_TOKEN.finditer(body)):
        if number > most_tokens:
            raise ApiError(400, f"the body has more than {most} JSON values, the limit for this context")


class BodyReader:
    """Applies the limits to each body, and to all bodies in memory together."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self.in_flight_bytes = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the body, which counts as in memory until the context ends. Raises ApiError(413 or 503)."""
        self._check_declared(request.headers.get("content-length", ""))
        held = _Held(self)
        try:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                self._check_size(len(body))
                held.grow_to(len(body))
            yield bytes(body)
        finally:
            held.grow_to(0)

    def _check_declared(self, length: str) -> None:
        if not length.isascii() or not length.isdigit():
            return
        # 20 digits are already over any limit; more could be slow to parse.
        self._check_size(int(length[:20]))
        if int(length[:20]) > self._limits.small_bytes:
            self.check_room(int(length[:20]))

    def _check_size(self, size: int) -> None:
        if size > self._limits.max_bytes:
            message = f"the request body exceeds {self._limits.max_bytes} bytes, the limit for this context"
            raise ApiError(413, message)

    def check_room(self, more_bytes: int) -> None:
        """Raise ApiError(503) when `more_bytes` would exceed the limit for all bodies together."""
        if self.in_flight_bytes + more_bytes > self._limits.max_in_flight_bytes:
            message = "too many large requests at once; try again later"
            raise ApiError(503, message, code="too_many_large_requests", retry_after_s=1)

    def counted_bytes(self, size: int) -> int:
        """Return the bytes that count. Small bodies do not: the number of connections bounds them."""
        return size if size > self._limits.small_bytes else 0


class _Held:
    """One request's share of the bytes in memory."""

    def __init__(self, reader: BodyReader) -> None:
        self._reader, self._bytes = reader, 0

    def grow_to(self, size: int) -> None:
        counted = self._reader.counted_bytes(size)
        if counted > self._bytes:
            self._reader.check_room(counted - self._bytes)
        self._reader.in_flight_bytes += counted - self._bytes
        self._bytes = counted

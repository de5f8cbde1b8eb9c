"""Which headers pass the proxy, in each direction."""

from __future__ import annotations

import re
from collections.abc import Iterable

RawHeaders = list[tuple[bytes, bytes]]

# Of one connection, not of the message (RFC 9110, section 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Keys are checked here and are nobody else's; the rest is written anew for the server.
_NOT_SENT = _HOP_BY_HOP | {
    b"accept-encoding",
    b"authorization",
    b"content-length",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"origin",
    b"referer",
    b"x-api-key",
}
# A server's own address is of no use to a client, and it is not the server that decides which pages may read.
_NOT_RETURNED = _HOP_BY_HOP | {b"date", b"location", b"server"}
_FORGEABLE = b"x-forwarded-"
_CROSS_ORIGIN = b"access-control-"
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


def headers_to_server(headers: Iterable[tuple[bytes, bytes]], api_key: str | None) -> list[tuple[str, str]]:
    """Return a client's headers as they are sent to a server, with the server's key for the client's."""
    kept = list(headers)
    dropped = _NOT_SENT | _named_by_connection(kept)
    passed = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in kept
        if name not in dropped and not name.startswith(_FORGEABLE)
    ]
    # Compressed answers could not be counted.
    passed.append(("accept-encoding", "identity"))
    if api_key is not None:
        passed.append(("authorization", f"Bearer {api_key}"))
    return passed


def headers_to_client(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return a server's headers as a client gets them. What HTTP does not allow is left out."""
    kept = [(name.lower(), value.strip()) for name, value in headers]
    dropped = _NOT_RETURNED | _named_by_connection(kept)
    if any(name == b"transfer-encoding" for name, _ in kept):
        dropped |= {b"content-length"}
    return [
        (name, value)
        for name, value in kept
        if name not in dropped
        and not name.startswith(_CROSS_ORIGIN)
        and _NAME.fullmatch(name)
        and _VALUE.fullmatch(value)
    ]


def _named_by_connection(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    values = [value for name, value in headers if name == b"connection"]
    return {part.strip().lower() for value in values for part in value.split(b",")}

"""The address of a Ray dashboard, with a specific error for each common mistake."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from cluster.errors import BadInput
from cluster.text import clean

_PORT = 8265
_WRITE_IT = f"Write it like http://10.0.0.1:{_PORT}"
_HEAD_PORT = 6379


def parse_dashboard_url(text: str) -> str:
    """Return 'http://host:port' or 'https://host/prefix', without a slash at the end.

    The scheme may be left out, and Ray's port where there is none. Raises BadInput.
    """
    shown = f"--observe {clean(text, 80)!r}"
    written = text.strip()
    try:
        parts = urlsplit(written if "://" in written else f"http://{written}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadInput(f"{shown} is not an address ({error})", _WRITE_IT) from None
    if parts.scheme not in ("http", "https"):
        raise BadInput(f"{shown} begins with {clean(parts.scheme, 20)}://", _WRITE_IT)
    if not host or any(char.isspace() for char in written):
        raise BadInput(f"{shown} has no host", _WRITE_IT)
    _check_rest(shown, parts)
    if port == _HEAD_PORT:
        hint = f"The dashboard's is {_PORT} unless chosen otherwise; to join the cluster, use --address"
        raise BadInput(f"{shown} has the port of Ray's head, not of its dashboard", hint)
    name = f"[{host}]" if ":" in host else host
    # A proxy in front of a dashboard listens where web servers do.
    default = f":{_PORT}" if parts.scheme == "http" and parts.path in ("", "/") else ""
    return f"{parts.scheme}://{name}{default if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _check_rest(shown: str, parts: SplitResult) -> None:
    if parts.username is not None or parts.password is not None:
        raise BadInput("--observe takes no user name or password in the address", _WRITE_IT)
    if parts.query or parts.fragment:
        raise BadInput(f"{shown} has more than host, port and path", _WRITE_IT)

"""Parse the address of a Ray head, with a specific error for each common mistake."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import BadInput, Unreachable
from cluster.text import clean

AUTO = "auto"
_EXAMPLE = "10.0.0.1:6379"
_WRITE_IT = f"Write host and port of the head, like {_EXAMPLE}"
_DASHBOARD_PORT = 8265
_MOST_BYTES = 300


@dataclass(frozen=True, slots=True)
class RayAddress:
    """Host and port of a Ray head."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def check_ray_address(text: str) -> None:
    """Raise BadInput unless `text` can be an address; says where it came from when that is RAY_ADDRESS."""
    if text.strip() == AUTO:
        return
    try:
        parse_ray_address(text)
    except BadInput as refused:
        if text == os.environ.get("RAY_ADDRESS"):
            message = f"RAY_ADDRESS: {refused.message}"
            raise BadInput(message, f"{refused.hint}; --address overrides RAY_ADDRESS") from None
        raise


def find_ray_address(text: str) -> RayAddress:
    """Read an address; 'auto' is the cluster that `ray start` last started or joined on this machine."""
    return _current_cluster() if text.strip() == AUTO else parse_ray_address(text)


def parse_ray_address(text: str) -> RayAddress:
    """Read 'host:port'; raises BadInput that says what is wrong with it."""
    shown = f"address {clean(text, 80)!r}"
    scheme, separator, rest = text.strip().partition("://")
    if separator:
        raise _has_scheme(shown, scheme.lower(), rest)
    host, separator, port = text.strip().rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise BadInput(f"{shown} is not host:port", _WRITE_IT)
    bare = host.removeprefix("[").removesuffix("]")
    if ":" in bare and not (host == f"[{bare}]" and _is_ipv6(bare)):
        raise BadInput(f"{shown} is not host:port", f"{_WRITE_IT}, or like [fd00::1]:6379 for IPv6")
    if not bare:
        raise BadInput(f"{shown} has no host", _WRITE_IT)
    return RayAddress(bare, int(port))


def _has_scheme(shown: str, scheme: str, rest: str) -> BadInput:
    if scheme == "ray":
        hint = f"Give the head's own address, such as {_EXAMPLE}, from a machine of the cluster"
        return BadInput(f"{shown} is a Ray Client address", hint)
    if scheme in ("http", "https"):
        dashboard = f":{_DASHBOARD_PORT}" in rest
        what = (
            "the address of Ray's dashboard, not of its head" if dashboard else "the address of a web server"
        )
        return BadInput(f"{shown} is {what}", f"{_WRITE_IT} (no http://, no dashboard port)")
    return BadInput(
        f"{shown} begins with {clean(scheme, 20)}://", f"{_WRITE_IT}, without {clean(scheme, 20)}://"
    )


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _current_cluster() -> RayAddress:
    """Return the address that Ray itself wrote down; its own 'auto' reads the same file."""
    file = _address_file()
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES).decode("utf-8", "replace")
        return parse_ray_address(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = f"Start one with `ray start --head`, or write host and port of its head, like {_EXAMPLE}"
        raise Unreachable(
            f"address 'auto': no Ray cluster on this machine ({file}: {reason})", hint
        ) from None
    except BadInput as refused:
        raise Unreachable(f"address 'auto': {file} holds no address ({refused.message})", _WRITE_IT) from None


def _address_file() -> Path:
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return Path(folder, "ray", "ray_current_cluster")

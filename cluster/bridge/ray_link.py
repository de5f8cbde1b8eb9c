"""Entering a Ray cluster as its driver: quick checks first, so that failures come in seconds and in words."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BadInput, ClusterviewError, Unreachable
from cluster.text import clean

NAMESPACE = "clusterview"

_CONNECT_S = 3.0
_CONNECT_TRIES = 4
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HTTP2_SETTINGS = 4


@dataclass(frozen=True, slots=True)
class RayAddress:
    """Host and port of a Ray head."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_ray_address(text: str) -> RayAddress:
    """Read 'host:port'; raises BadInput that says what is wrong with it."""
    shown = clean(text, 80)
    if text.startswith("ray://"):
        hint = "Give the head's own address, such as 10.0.0.1:6379, from a machine of the cluster"
        raise BadInput(f"address {shown!r} is Ray Client's", hint)
    host, separator, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise BadInput(f"address {shown!r} is not host:port", "Write it like 10.0.0.1:6379")
    return RayAddress(host, int(port))


def check_answers(address: RayAddress) -> None:
    """Raise Unreachable unless something that can be a Ray head answers there within seconds."""
    try:
        with socket.create_connection((address.host, address.port), timeout=_CONNECT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("1", "true"):
                _check_speaks_http2(connection, address)
    except TimeoutError:
        reason = f"nothing answered at {address} within {_CONNECT_S:.0f} s"
        raise Unreachable(reason, "Check the address and that no firewall is between") from None
    except OSError as error:
        reason = f"no Ray cluster at {address}: {(error.strerror or str(error)).lower()}"
        raise Unreachable(reason, "Check the address and that `ray start --head` runs there") from None


def _check_speaks_http2(connection: socket.socket, address: RayAddress) -> None:
    """A Ray head speaks gRPC; Ray itself would wait 40 s for one that does not."""
    hint = "Give the port of the head (6379 unless chosen otherwise), not of the dashboard"
    wrong = Unreachable(f"what answers at {address} is not a Ray head", hint)
    connection.sendall(_HTTP2_PREFACE)
    try:
        header = connection.recv(9)
    except TimeoutError:
        raise wrong from None
    if len(header) < 4 or header[3] != _HTTP2_SETTINGS:
        raise wrong


def enter(address: str, *, ship_package: bool) -> Any:
    """Become a driver of the cluster at `address`; returns the ray module.

    `ship_package` sends this package to the nodes, for clusters that do not have it.
    """
    # Somebody answers there: one second a try is enough, and Ray's own 20 tries only make a wrong token slow.
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", str(_CONNECT_TRIES))
    import ray

    options: dict[str, Any] = {}
    if ship_package:
        package = Path(__file__).resolve().parents[1]
        options["runtime_env"] = {"py_modules": [str(package)], "excludes": ["**/__pycache__"]}
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
            logging_level="CRITICAL",
            **options,
        )
    except Exception as error:
        raise _told(error, address) from error
    return ray


def _told(error: Exception, address: str) -> ClusterviewError:
    text = " ".join(clean(str(error), 2000).split())
    if "Version mismatch" in text:
        words = text.partition("Version mismatch:")[2].strip()
        return Unreachable(
            f"the cluster at {address} runs other versions: {words}",
            "Run clusterview with the cluster's Python and Ray",
        )
    if isinstance(error, ConnectionError) or "GCS" in text or "connect" in text.lower():
        return Unreachable(
            f"the Ray head at {address} answers but does not let us in ({auth_in_use()})",
            "Set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's token, or RAY_AUTH_MODE=disabled",
        )
    return Unreachable(f"joining {address} failed: {clean(text, 200)}", "")


def auth_in_use() -> str:
    """Say which token is used, never its value."""
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return "auth: disabled by RAY_AUTH_MODE"
    if os.environ.get("RAY_AUTH_TOKEN"):
        return "auth: token from RAY_AUTH_TOKEN"
    if path := os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return f"auth: token from {clean(path, 80)}"
    if (Path.home() / ".ray" / "auth_token").exists():
        return "auth: token from ~/.ray/auth_token"
    return "auth: no token"


def leave(ray: Any) -> None:
    """Stop being a driver; actors that are not detached end."""
    with contextlib.suppress(Exception):
        ray.shutdown()

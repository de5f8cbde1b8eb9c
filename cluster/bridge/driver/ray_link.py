"""Join a Ray cluster as its driver, with quick checks first so that errors come early and are readable."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from cluster.bridge.driver.ray_auth import refusal, use_token_if_found
from cluster.bridge.driver.worker_path import in_empty_directory
from cluster.bridge.ray_address import RayAddress
from cluster.errors import ClusterviewError, Unreachable
from cluster.text import clean

NAMESPACE = "clusterview"

_CONNECT_S = 3.0
_CONNECT_TRIES = 3
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HTTP2_SETTINGS = 4
_RAYLET = b"/raylet/raylet"
_STDERR_FD = 2
_LOG_TAIL_BYTES = 4000
_HEAD_PORT = "Give the port of the head (6379 unless chosen otherwise), not of the dashboard"
_OTHER_VERSIONS = (
    "Run clusterview from the cluster's own environment: pip install clusterview into it (Ray keeps its "
    "version), and start it there with `python -m clusterview`"
)


def check_answers(address: RayAddress) -> None:
    """Raise Unreachable unless something that can be a Ray head answers there within seconds."""
    try:
        with socket.create_connection((address.host, address.port), timeout=_CONNECT_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("1", "true"):
                _check_speaks_http2(connection, address)
    except TimeoutError:
        reason = f"nothing answered at {address} within {_CONNECT_S:.0f} s"
        raise Unreachable(reason, "Check the address, and that no firewall blocks it") from None
    except OSError as error:
        reason = f"no Ray cluster at {address}: {(error.strerror or str(error)).lower()}"
        raise Unreachable(reason, "Check the address and that `ray start --head` runs there") from None


def _check_speaks_http2(connection: socket.socket, address: RayAddress) -> None:
    """A Ray head speaks gRPC; Ray itself would wait 40 s for one that does not."""
    wrong = Unreachable(f"the service at {address} is not a Ray head", _HEAD_PORT)
    connection.sendall(_HTTP2_PREFACE)
    try:
        header = connection.recv(9)
    except TimeoutError:
        reason = f"{address} accepts connections but did not respond within {_CONNECT_S:.0f} s"
        hint = "The Ray head there may be stopped or overloaded, or the port belongs to another service"
        raise Unreachable(reason, hint) from None
    if len(header) < 4 or header[3] != _HTTP2_SETTINGS:
        raise wrong


def check_is_node(address: str) -> None:
    """Raise Unreachable where no raylet runs on this machine: Ray would look for one for a minute."""
    if Path("/proc/self/cmdline").exists() and not any(
        _is_raylet(entry) for entry in Path("/proc").iterdir()
    ):
        raise _not_a_node(address)


def _is_raylet(entry: Path) -> bool:
    with contextlib.suppress(OSError):
        return entry.name.isdigit() and _RAYLET in (entry / "cmdline").read_bytes().partition(b"\0")[0]
    return False


def _not_a_node(address: str) -> Unreachable:
    hint = "Run clusterview on a node of the cluster, such as its head (in the container where Ray runs)"
    return Unreachable(f"this machine is not a node of the Ray cluster at {address}", hint)


def never_start_a_cluster() -> None:
    """Keep Ray from starting a cluster of its own on this machine. Call it before Ray is imported.

    Ray does so for any call of a process that has not joined one, or has just left, such as that of a thread
    that still looks at the nodes while this process ends. That cluster can outlive it.
    """
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"


def enter(address: str, *, ship_package: bool) -> Any:
    """Become a driver of the cluster at `address`; returns the ray module.

    `ship_package` sends this package to the nodes, for clusters that do not have it.
    """
    check_is_node(address)
    use_token_if_found()
    # The head responds, so one second per try is enough; Ray's default of 20 tries makes a wrong token slow.
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", str(_CONNECT_TRIES))
    import ray

    options: dict[str, Any] = {}
    if ship_package:
        package = Path(__file__).resolve().parents[2]
        options["runtime_env"] = {"py_modules": [str(package)], "excludes": ["**/__pycache__"]}
    try:
        with in_empty_directory():
            ray.init(
                address=address,
                namespace=NAMESPACE,
                log_to_driver=False,
                configure_logging=False,
                logging_level="CRITICAL",
                **options,
            )
    except Exception as error:
        raise _join_error(error, address) from error
    return ray


def _join_error(error: Exception, address: str) -> ClusterviewError:
    text = " ".join(clean(f"{error} {error.__cause__ or error.__context__ or ''}", 2000).split())
    if "Version mismatch" in text:
        words = text.partition("Version mismatch:")[2].strip()
        return Unreachable(
            f"the versions differ from those of the cluster at {address}: {words}", _OTHER_VERSIONS
        )
    log_end = _end_of_log()
    if type(error).__name__ == "AuthenticationError" or "Unauthenticated" in log_end:
        reason, hint = refusal()
        return Unreachable(f"the Ray head at {address} rejected the connection: {reason}", hint)
    if "No node info found" in text:
        return _not_a_node(address)
    if "Method not found" in log_end:
        return Unreachable(f"the service at {address} is not a Ray head", f"{_HEAD_PORT}, nor of Ray Client")
    return Unreachable(f"joining {address} failed: {clean(text, 200)}", "")


def _end_of_log() -> str:
    """Return the end of this process's log: Ray's C++ part writes reasons there that its exceptions lack."""
    with contextlib.suppress(OSError):
        size = os.fstat(_STDERR_FD).st_size
        return os.pread(_STDERR_FD, _LOG_TAIL_BYTES, max(0, size - _LOG_TAIL_BYTES)).decode(
            "utf-8", "replace"
        )
    return ""


def leave(ray: Any) -> None:
    """Stop being a driver; actors that are not detached end."""
    with contextlib.suppress(Exception):
        ray.shutdown()

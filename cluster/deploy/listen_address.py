"""Where a router listens: who can reach it there, and the address to show."""

from __future__ import annotations

import ipaddress

from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a router that listens on `host`."""
    if host.lower() == "localhost":
        return True
    address = _parsed(host)
    return address is not None and address.is_loopback


def check_key(spec: DeploymentSpec) -> None:
    """Raise BadInput when other machines could use the router without a key."""
    if not is_loopback(spec.router_host) and not spec.api_key_sha256:
        raise BadInput(
            f"a router on {spec.router_host} can be reached from other machines and needs an API key",
            "Give one with --api-key-file or CLUSTERVIEW_API_KEY, or leave --host out",
        )


def shown_host(host: str, node_address: str) -> str:
    """Return the host part of the URL for clients: the node's own address when it listens on all of them."""
    address = _parsed(host)
    shown = _parsed(node_address) if address is not None and address.is_unspecified else address
    if shown is None:
        return host if address is None else node_address
    return f"[{shown}]" if shown.version == 6 else str(shown)


def _parsed(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None

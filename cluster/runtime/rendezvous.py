"""The TCP store through which the ranks of a group find each other, bound before its port is published."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from cluster.errors import BadInput

# Stores that this process opened and has not used yet, by port.
_opened: dict[int, Any] = {}


def find_free_port(host: str = "127.0.0.1") -> tuple[str, int]:
    """Open the group's store on `host` at a port chosen by the kernel, and return (host, port).

    Call it in the leader's process: the store stays open there, so that no other process can take the port
    before the ranks connect, and `take_store` returns it when that process joins. It listens on `host` only.
    """
    import torch.distributed as dist

    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.bind((host, 0))
    listener.listen(1024)
    port = int(listener.getsockname()[1])
    _opened[port] = dist.TCPStore(
        host, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )
    return host, port


def take_store(init_method: str, is_leader: bool, timeout_s: float) -> Any:
    """Return the store at tcp://host:port: the one opened in this process, a new one (leader) or a client."""
    import torch.distributed as dist

    host, port = parse_init_method(init_method)
    timeout = timedelta(seconds=timeout_s)
    store = _opened.pop(port, None) if is_leader else None
    if store is not None:
        store.set_timeout(timeout)
        return store
    return dist.TCPStore(host, port, is_master=is_leader, wait_for_workers=False, timeout=timeout)


def parse_init_method(init_method: str) -> tuple[str, int]:
    """Return (host, port) of tcp://host:port; BadInput for anything else."""
    try:
        parts = urlsplit(init_method)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not init_method.startswith("tcp://") or not host or not port:
        raise BadInput(f"{init_method!r} is not a valid rendezvous address", "Expected tcp://host:port")
    return host, port

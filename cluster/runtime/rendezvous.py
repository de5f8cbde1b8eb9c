"""Where the ranks of a group meet: a TCP store that is bound before its port is told to anyone."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from cluster.errors import BadInput

# Stores this process opened and has not joined yet, by port.
_opened: dict[int, Any] = {}


def find_free_port(host: str = "127.0.0.1") -> tuple[str, int]:
    """Open the group's store on `host` at a port the kernel chose, and return (host, port).

    Call it in the process of the leader: the store stays open there, so that nobody can take the port before
    the group meets, and `take_store` hands it to that process's join. It listens on `host` only.
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
    """Return the store at tcp://host:port: the one opened here, a new one for a leader, else a client."""
    import torch.distributed as dist

    host, port = parse_init_method(init_method)
    timeout = timedelta(seconds=timeout_s)
    store = _opened.pop(port, None) if is_leader else None
    if store is not None:
        store.set_timeout(timeout)
        return store
    return dist.TCPStore(host, port, is_master=is_leader, wait_for_workers=False, timeout=timeout)


def parse_init_method(init_method: str) -> tuple[str, int]:
    """Split tcp://host:port."""
    try:
        parts = urlsplit(init_method)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not init_method.startswith("tcp://") or not host or not port:
        raise BadInput(f"{init_method!r} is no rendezvous", "It reads tcp://address:port")
    return host, port

"""How the servers of several nodes meet: followers connect to the leader, and stay connected."""

from __future__ import annotations

import socket
import sys
import time

PATIENCE_S = 120.0


def wait_for_followers(address: str, port: int, num_followers: int) -> list[socket.socket]:
    """Listen at the master port until all followers are there; return their connections."""
    with socket.create_server((address, port)) as listener:
        listener.settimeout(PATIENCE_S)
        try:
            return [listener.accept()[0] for _ in range(num_followers)]
        except TimeoutError:
            sys.exit(
                f"torch.distributed.DistStoreError: Timed out after {PATIENCE_S:.0f} s waiting for clients"
            )


def join_leader(address: str, port: int) -> socket.socket:
    """Connect to the leader, which may start later."""
    ends_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            joined = socket.create_connection((address, port), timeout=5.0)
        except OSError as error:
            if time.monotonic() > ends_s:
                sys.exit(f"torch.distributed.DistNetworkError: cannot reach {address}:{port}: {error}")
            time.sleep(0.05)
            continue
        joined.settimeout(None)
        return joined


def follow(leader: socket.socket, core: socket.socket) -> None:
    """Pass the leader's turns through this node's core until either is gone."""
    while turn := leader.recv(1):
        core.sendall(turn)
        if core.recv(1) != turn:
            return
        leader.sendall(turn)
    # The leader is gone. A headless vLLM waits for it in a collective that has no end.
    while True:
        time.sleep(3600)

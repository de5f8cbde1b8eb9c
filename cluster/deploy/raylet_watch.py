"""Whether each node's raylet answers: Ray itself takes a minute to notice that one has stopped.

A raylet speaks gRPC. The kernel accepts connections for a stopped process too, so what counts is that the
HTTP/2 server sends its first frame.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cluster.deploy.own_pause import OwnPause

_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_HTTP2_SETTINGS = 4
_ANSWER_S = 3.0
_PAUSE_S = 2.0
_ASKED_AT_ONCE = 16
RAYLET_SAID_S = 4.0
"""Seconds of silence from which a status says so."""


def speaks_grpc(host: str, port: int, timeout_s: float | None = None) -> bool:
    """True if an HTTP/2 server sends its first frame at this address within the timeout.

    Under Ray's TLS only the connection itself is judged: without certificates nothing more can be.
    """
    try:
        with socket.create_connection((host, port), timeout=timeout_s or _ANSWER_S) as connection:
            if os.environ.get("RAY_USE_TLS", "0") in ("1", "true"):
                return True
            connection.sendall(_HTTP2_PREFACE)
            header = connection.recv(9)
    except OSError:
        return False
    return len(header) >= 4 and header[3] == _HTTP2_SETTINGS


class RayletWatch:
    """Polls the raylets in its own thread. `silent` never blocks."""

    def __init__(self) -> None:
        self._nodes: dict[str, tuple[str, int]] = {}
        self._answered_s: dict[str, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="raylets", daemon=True).start()

    def take(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """Watch the living nodes among these, entries of `ray.nodes()`, and no others."""
        living = {
            str(node["NodeID"]): (str(node["NodeManagerAddress"]), int(node["NodeManagerPort"]))
            for node in nodes
            if node["Alive"]
        }
        now_s = time.monotonic()
        with self._lock:
            self._nodes = living
            self._answered_s = {node: self._answered_s.get(node, now_s) for node in living}

    def silent(self) -> dict[str, float]:
        """Return how many seconds each raylet has been silent, by node id, if long enough to report."""
        now_s = time.monotonic()
        with self._lock:
            return {
                node: now_s - answered_s
                for node, answered_s in self._answered_s.items()
                if now_s - answered_s > RAYLET_SAID_S + _PAUSE_S / 2
            }

    def end(self) -> None:
        """Stop polling."""
        self._ended.set()

    def _run(self) -> None:
        own_pause = OwnPause()
        with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="raylet") as pool:
            while not self._ended.wait(_PAUSE_S):
                paused_s = own_pause.seconds()
                with self._lock:
                    nodes = dict(self._nodes)
                    if paused_s > _PAUSE_S + 2 * _ANSWER_S:
                        self._answered_s = dict.fromkeys(self._answered_s, time.monotonic())
                list(pool.map(lambda item: self._ask(*item), nodes.items()))

    def _ask(self, node_id: str, address: tuple[str, int]) -> None:
        if not speaks_grpc(*address):
            return
        with self._lock:
            if node_id in self._answered_s:
                self._answered_s[node_id] = time.monotonic()

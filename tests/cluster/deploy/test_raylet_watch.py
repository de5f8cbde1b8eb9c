"""A raylet answers when its HTTP/2 server speaks: an accepted connection alone says nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from cluster.deploy import raylet_watch
from cluster.deploy.raylet_watch import RayletWatch, speaks_grpc
from tests.ray.support import wait_until

SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture
def server() -> Iterator[tuple[socket.socket, threading.Event]]:
    """A listener that greets like gRPC while the event is set, and otherwise is mute like a stopped one."""
    listener, speaks = socket.create_server(("127.0.0.1", 0)), threading.Event()
    speaks.set()

    def serve() -> None:
        held = []
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            if speaks.is_set():
                connection.sendall(SETTINGS)

    threading.Thread(target=serve, daemon=True).start()
    yield listener, speaks
    listener.close()


def test_speaking_mute_and_closed(server: tuple[socket.socket, threading.Event]) -> None:
    listener, speaks = server
    host, port = listener.getsockname()
    assert speaks_grpc(host, port)
    speaks.clear()
    assert not speaks_grpc(host, port, timeout_s=0.2)
    listener.close()
    assert not speaks_grpc(host, port, timeout_s=0.2)


def test_a_mute_raylet_is_named_with_its_silence(
    server: tuple[socket.socket, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_PAUSE_S": 0.05, "_ANSWER_S": 0.1, "RAYLET_SAID_S": 0.3}.items():
        monkeypatch.setattr(raylet_watch, name, value)
    listener, speaks = server
    host, port = listener.getsockname()
    entry = {"NodeID": "n", "Alive": True, "NodeManagerAddress": host, "NodeManagerPort": port}
    watch = RayletWatch()
    watch.take([entry, {**entry, "NodeID": "dead", "Alive": False}])
    time.sleep(0.6)
    assert watch.silent() == {}
    speaks.clear()
    assert wait_until(lambda: set(watch.silent()) == {"n"}, 10)
    speaks.set()
    assert wait_until(lambda: watch.silent() == {}, 10)
    watch.take([])
    assert watch.silent() == {}
    watch.end()

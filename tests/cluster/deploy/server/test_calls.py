"""Requests to a server: every answer but a token within the deadline is a failure that says why."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from cluster.deploy.meeting import open_meeting
from cluster.deploy.server.calls import ServerBusy, ServerDoor, generate_token, listens, read_metrics
from cluster.engines.adapter import load_adapter
from cluster.errors import DeployFailed

VLLM = load_adapter("vllm")


class Handler(http.server.BaseHTTPRequestHandler):
    answer: ClassVar[tuple[int, bytes]] = (200, b"{}")
    trickle: ClassVar[bool] = False
    keys: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.send_response(type(self).answer[0])
        self.end_headers()
        self.wfile.write(type(self).answer[1])

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).keys.append(self.headers["Authorization"])
        self.send_response(type(self).answer[0])
        self.end_headers()
        self.wfile.write(type(self).answer[1])
        for _ in range(1000 if type(self).trickle else 0):
            self.wfile.write(b" ")
            time.sleep(0.05)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def door() -> Iterator[ServerDoor]:
    Handler.answer, Handler.trickle, Handler.keys = (200, b"{}"), False, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign,assignment]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield ServerDoor(f"http://127.0.0.1:{server.server_port}", "k3y")
    server.shutdown()
    server.server_close()


def test_a_token_is_a_proof(door: ServerDoor) -> None:
    answer = {"choices": [{"text": "x", "finish_reason": "length"}], "usage": {"completion_tokens": 1}}
    Handler.answer = (200, json.dumps(answer).encode())
    generate_token(door, VLLM, "tiny", 10)
    assert Handler.keys == ["Bearer k3y"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, b'{"error": "EngineDead\x1b[2J"}'), "HTTP 500: "),
        ((200, b"not json"), "without a token"),
        ((200, b"[]"), "without a token"),
        ((200, b'{"choices": []}'), "without a token"),
        ((200, b" " * (9 * 2**20)), "larger than"),
    ],
)
def test_anything_else_is_none(door: ServerDoor, answer: tuple[int, bytes], words: str) -> None:
    Handler.answer = answer
    with pytest.raises(DeployFailed, match=words) as raised:
        generate_token(door, VLLM, "tiny", 10)
    assert raised.value.message.isprintable()


@pytest.mark.parametrize(("status", "is_busy"), [(429, True), (503, True), (500, False), (400, False)])
def test_a_full_queue_is_told_from_a_failure(door: ServerDoor, status: int, is_busy: bool) -> None:
    Handler.answer = (status, b"")
    with pytest.raises(DeployFailed) as raised:
        generate_token(door, VLLM, "tiny", 10)
    assert isinstance(raised.value, ServerBusy) == is_busy


def test_an_answer_that_trickles_in_is_late(door: ServerDoor) -> None:
    Handler.trickle = True
    with pytest.raises(DeployFailed, match="no token was generated within 0"):
        generate_token(door, VLLM, "tiny", 0.3)


def test_a_server_that_is_gone() -> None:
    gone = ServerDoor(f"http://127.0.0.1:{open_meeting('127.0.0.1').http_port}", "")
    with pytest.raises(DeployFailed, match="refused"):
        generate_token(gone, VLLM, "tiny", 5)
    assert not listens(gone, 1)
    assert read_metrics(gone, VLLM, 1) is None


def test_a_port_that_takes_connections_but_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = ServerDoor(f"http://127.0.0.1:{mute.getsockname()[1]}", "")
        with pytest.raises(DeployFailed, match="no token"):
            generate_token(silent, VLLM, "tiny", 0.2)
        assert not listens(silent, 0.2)


def test_health_and_metrics(door: ServerDoor) -> None:
    assert listens(door, 10)
    Handler.answer = (200, b'vllm:num_requests_running{model_name="m"} 3.0\n')
    metrics = read_metrics(door, VLLM, 10)
    assert metrics is not None and metrics.running == 3
    Handler.answer = (503, b"")
    assert not listens(door, 10)
    assert read_metrics(door, VLLM, 10) is None

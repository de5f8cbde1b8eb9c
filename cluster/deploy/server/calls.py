"""Requests to a server on its own port, each with a deadline: a proof that it generates, and its metrics."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from cluster.engines.adapter import EngineAdapter, EngineMetrics
from cluster.errors import DeployFailed
from cluster.text import clean

_MOST_BYTES = 8 * 2**20
_READ_BYTES = 1 << 16
_SHOWN_CHARACTERS = 200
_BUSY_STATUSES = (429, 503)

Result = TypeVar("Result")


class ServerBusy(DeployFailed):
    """The server refused the request for now, as one does whose queue is full."""


@dataclass(frozen=True, slots=True)
class ServerDoor:
    """How a server is reached."""

    endpoint: str
    api_key: str

    def ask(self, path: str, deadline_s: float, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Return status and body of an answer; OSError (as TimeoutError) or HTTPException if none came."""
        until_s = time.monotonic() + deadline_s
        parts = urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=deadline_s)
        headers = {"Authorization": f"Bearer {self.api_key}", "Connection": "close"}
        with contextlib.closing(connection):
            if body is None:
                connection.request("GET", path, headers=headers)
            else:
                headers["Content-Type"] = "application/json"
                connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, _read(response, until_s)


def _read(response: http.client.HTTPResponse, until_s: float) -> bytes:
    parts, size = [], 0
    while chunk := response.read1(_READ_BYTES):
        parts.append(chunk)
        size += len(chunk)
        if size > _MOST_BYTES:
            raise http.client.HTTPException(f"the answer is larger than {_MOST_BYTES} bytes")
        if time.monotonic() > until_s:
            raise TimeoutError("the answer is not complete")
    return b"".join(parts)


def listens(door: ServerDoor, deadline_s: float) -> bool:
    """Whether the server takes requests; that it also answers them is for a proof to show."""
    try:
        return door.ask("/health", deadline_s)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def generate_token(door: ServerDoor, adapter: EngineAdapter, served_name: str, deadline_s: float) -> None:
    """Have the server generate one token; DeployFailed (ServerBusy: for now) says why none came."""
    proof = adapter.proof(served_name)
    try:
        status, body = door.ask(proof.path, deadline_s, proof.body)
    except TimeoutError:
        raise DeployFailed(f"no token was generated within {deadline_s:.0f} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise DeployFailed(f"a request for one token failed: {error or type(error).__name__}") from error
    if status != 200:
        words = clean(body.decode("utf-8", "replace"), _SHOWN_CHARACTERS)
        kind = ServerBusy if status in _BUSY_STATUSES else DeployFailed
        raise kind(f"a request for one token was answered with HTTP {status}: {words}")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not adapter.has_token(answer):
        raise DeployFailed("a request for one token was answered without a token")


def read_metrics(door: ServerDoor, adapter: EngineAdapter, deadline_s: float) -> EngineMetrics | None:
    """Return the server's metrics; None if it gives none in time."""
    try:
        status, body = door.ask("/metrics", deadline_s)
        return adapter.read_metrics(body.decode("utf-8", "replace")) if status == 200 else None
    except Exception:  # metrics are an extra: whatever is wrong with them must not end a server that serves
        return None


class Background(Generic[Result]):
    """Runs one call at a time in a thread of its own, so that whoever asks never waits."""

    def __init__(self, call: Callable[[], Result], name: str) -> None:
        self._call, self._name = call, name
        self._thread: threading.Thread | None = None
        self._result: tuple[Result | None, Exception | None] | None = None
        self.started_at_s = 0.0

    @property
    def pending(self) -> bool:
        """Whether a call was started and its result not yet taken."""
        return self._thread is not None

    def start(self) -> None:
        """Start the call; nothing if one is pending."""
        if self._thread is None:
            self.started_at_s = time.monotonic()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def take(self) -> tuple[Result | None, Exception | None] | None:
        """Return (result, error) of a call that has ended, once; None if there is none."""
        result, self._result = self._result, None
        if result is not None:
            self._thread = None
        return result

    def _run(self) -> None:
        try:
            self._result = (self._call(), None)
        except Exception as error:
            self._result = (None, error)

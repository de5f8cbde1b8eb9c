"""HTTP connections with limits on their number, on how long a client may stall, and on chunk sizes."""

from __future__ import annotations

import json
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cluster.deploy.router.api_errors import ApiError
from cluster.deploy.router.router_limits import ConnectionLimits

_MOST_HEAD_BYTES = 16 * 1024
# Parsing a body in tiny chunks costs far more than its size suggests.
_FREE_PARTS = 128
_SMALLEST_MEAN_PART_BYTES = 64


class BoundedConnection(h11.Connection):
    """The HTTP parser, with limits on a body's size and on its number of chunks."""

    def __init__(self, most_body_bytes: int) -> None:
        super().__init__(h11.SERVER, _MOST_HEAD_BYTES)
        self._most_bytes = most_body_bytes
        self._num_parts = self._num_bytes = 0
        self.num_requests = 0

    def next_event(self) -> Any:
        """Return the next event; h11.RemoteProtocolError ends the connection."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.num_requests += 1
            self._num_parts = self._num_bytes = 0
        elif isinstance(event, h11.Data):
            self._num_parts += 1
            self._num_bytes += len(event.data)
            self._check_body()
        return event

    def _check_body(self) -> None:
        if self._num_bytes > self._most_bytes:
            raise h11.RemoteProtocolError("the body is too large", error_status_hint=413)
        if self._num_bytes < _SMALLEST_MEAN_PART_BYTES * (self._num_parts - _FREE_PARTS):
            raise h11.RemoteProtocolError("the body arrives in too many small chunks; send larger ones")


class BoundedProtocol(H11Protocol):  # type: ignore[misc]
    """One connection. `check_deadline` runs twice a second and closes it when its client stalls."""

    def __init__(self, *args: Any, limits: ConnectionLimits, most_body_bytes: int, **more: Any) -> None:
        super().__init__(*args, **more)
        # Twice the limit: the rest of a refused body is read and dropped, so that the client gets the 413.
        self.conn = BoundedConnection(2 * most_body_bytes)
        self._limits = limits
        self._waiting: tuple[str, int] | None = None
        self.waiting_since_s = time.monotonic()

    def connection_made(self, transport: Any) -> None:
        """Accept the connection (asyncio). If there are too many, close the one idle for longest."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=self._limits.send_buffer_bytes)
        self._look_at_what_it_waits_for()
        if len(self.connections) > self._limits.max_connections and not _drop_longest_waiting(
            self.connections, self
        ):
            self.refuse(ApiError(503, "too many connections are open; try again later"))

    def check_deadline(self, now_s: float) -> None:
        """Close the connection when its client has kept it waiting for too long."""
        self._look_at_what_it_waits_for()
        if self._waiting is None:
            return
        state = self._waiting[0]
        if now_s - self.waiting_since_s <= self._deadline_s(state):
            return
        if state == "body" or (state == "head" and self.conn.trailing_data[0]):
            self.refuse(ApiError(408, f"timed out waiting for the request's {state}"))
        else:
            self.transport.abort()

    def _deadline_s(self, state: str) -> float:
        return {"head": self._limits.head_s, "body": self._limits.body_s}.get(state, self._limits.write_s)

    def _look_at_what_it_waits_for(self) -> None:
        state = self._state()
        waiting = None if state is None else (state, self.conn.num_requests)
        if waiting != self._waiting:
            self._waiting, self.waiting_since_s = waiting, time.monotonic()

    def _state(self) -> str | None:
        """Return what the connection waits for from its client; None while it is the router's turn."""
        if self.transport.is_closing():
            return "closing"
        if self.flow.write_paused:
            return "reader"
        return {h11.IDLE: "head", h11.SEND_BODY: "body"}.get(self.conn.their_state)

    @property
    def waits_for_request(self) -> bool:
        """Whether its request is still incomplete, so that no work is lost by closing it."""
        return self._state() in ("head", "body")

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP in the same format as other errors (called by uvicorn)."""
        self.refuse(ApiError(400, msg))

    def refuse(self, error: ApiError) -> None:
        """Send an error unless an answer has begun, and close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(error.body()).encode()
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            for event in (
                h11.Response(status_code=error.status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event))
        self.transport.close()


def _drop_longest_waiting(connections: Any, newest: BoundedProtocol) -> bool:
    waiting = [one for one in connections if one is not newest and one.waits_for_request]
    if not waiting:
        return False
    min(waiting, key=lambda one: one.waiting_since_s).transport.abort()
    return True

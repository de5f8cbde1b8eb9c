"""Engine servers for tests: one that answers as engines do and notes what it got, and ones that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = ("one ", "two ", "three")


@dataclass
class Engine:
    """A server on loopback. `answer` replaces its answers; `gate` holds up every piece of a stream."""

    name: str = "engine"
    answer: Callable[[Request, bytes], Awaitable[Response]] | None = None
    seen: list[tuple[Request, bytes]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    cut_off: int = 0
    """Streams whose client left before their end."""
    url: str = ""
    _server: Any = None
    _task: Any = None

    async def start(self) -> Engine:
        """Listen on a free port."""
        self.gate.set()
        app = Starlette(routes=[Route("/{path:path}", self._handle, methods=["GET", "POST"])])
        config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._server.capture_signals = _no_signals
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def stop(self) -> None:
        """End at once: open connections are closed."""
        await end_server(self._server, self._task)

    def drop_connections(self) -> None:
        """Close every open connection, as the end of the process does."""
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    async def _handle(self, request: Request) -> Response:
        body = await request.body()
        self.seen.append((request, body))
        if self.answer is not None:
            return await self.answer(request, body)
        if request.method == "GET":
            return JSONResponse({"path": request.url.path, "engine": self.name})
        fields = json.loads(body or b"{}")
        if fields.get("stream"):
            return StreamingResponse(self._stream(fields), media_type="text/event-stream")
        await self.gate.wait()
        return JSONResponse(whole_answer(fields))

    async def _stream(self, fields: dict[str, Any]) -> AsyncIterator[bytes]:
        finished = False
        try:
            for piece in stream_events(fields):
                await self.gate.wait()
                yield piece
            finished = True
        finally:
            self.cut_off += not finished


def whole_answer(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a completion as an engine writes it."""
    choices = [{"index": 0, "text": "".join(WORDS), "finish_reason": "length"}]
    return {"object": "text_completion", "echo": fields, "choices": choices, "usage": usage(3)}


def usage(num_output: int) -> dict[str, int]:
    """Return the token counts of an answer to a prompt of five tokens."""
    return {"prompt_tokens": 5, "completion_tokens": num_output, "total_tokens": 5 + num_output}


def stream_events(fields: dict[str, Any]) -> list[bytes]:
    """Return a streamed completion, event by event."""
    events: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "text": word, "finish_reason": None}]} for word in WORDS
    ]
    events.append({"choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    if (fields.get("stream_options") or {}).get("include_usage"):
        events.append({"choices": [], "usage": usage(4)})
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in events] + [b"data: [DONE]\n\n"]


async def end_server(server: Any, task: asyncio.Task[None]) -> None:
    """End a server of uvicorn without waiting for its next look at whether it should."""
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def raw_server(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> Any:
    """Serve with hand-written HTTP on loopback. `answer` is called once the head of a request was read."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


def url_of(server: Any) -> str:
    """Return the base URL of a raw server."""
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


class _no_signals:
    """uvicorn must not take pytest's signal handlers."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

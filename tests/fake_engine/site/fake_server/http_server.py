"""A small HTTP/1.1 server for asyncio: keep-alive, plain and chunked bodies, streamed answers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    stream: AsyncIterator[bytes | None] | None = None
    """Pieces of a chunked body; None in place of a piece cuts the connection."""
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


Handler = Callable[[Request], Awaitable[Answer]]


class _Reader(asyncio.StreamReader):
    """Knows when its client is gone, also while nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.closed.set()

    def set_exception(self, exc: BaseException) -> None:  # type: ignore[override]
        super().set_exception(exc)  # type: ignore[arg-type]
        self.closed.set()


async def listen(handler: Handler, listener: socket.socket) -> asyncio.Server:
    """Answer the requests that come to `listener`."""

    def protocol() -> asyncio.StreamReaderProtocol:
        async def serve(reader: Any, writer: asyncio.StreamWriter) -> None:
            # asyncio does so itself only for sockets that were made with the protocol's number.
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await _serve_connection(handler, reader, writer)

        return asyncio.StreamReaderProtocol(_Reader(), serve)

    # As vLLM's event loop does; inherited by every connection.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return await asyncio.get_running_loop().create_server(protocol, sock=listener, backlog=1024)


async def _serve_connection(handler: Handler, reader: _Reader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection; a client that leaves ends the work for it."""
    gone = asyncio.create_task(reader.closed.wait())
    try:
        while True:
            request = await _read_request(reader)
            work = asyncio.create_task(_answer(handler, request, writer))
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait((work,))
            if work.cancelled() or not work.result():
                break
    except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
        pass
    finally:
        gone.cancel()
        writer.close()


async def _answer(handler: Handler, request: Request, writer: asyncio.StreamWriter) -> bool:
    return await _write(writer, await handler(request))


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    path, _, query = target.partition("?")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, query, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(pieces)


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Send an answer; return whether the connection can be used again."""
    head = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Error')}", "server: uvicorn"]
    head += [f"content-type: {answer.content_type}"]
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    if answer.stream is None:
        head += [f"content-length: {len(answer.body)}"]
        writer.write("\r\n".join([*head, "", ""]).encode() + answer.body)
        await writer.drain()
        return True
    writer.write("\r\n".join([*head, "transfer-encoding: chunked", "", ""]).encode())
    async for piece in answer.stream:
        if piece is None:
            return False
        writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True

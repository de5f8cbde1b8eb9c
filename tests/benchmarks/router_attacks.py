"""Attacks on a router, each run by clients in a separate process until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator

MIB = 1024**2
MODEL = "echo"
_HOST = "127.0.0.1"


def _request(path: str, body: bytes) -> bytes:
    lines = (
        f"POST /v1/{path} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        "connection: close",
        f"content-length: {len(body)}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


def _prompt(prompt: object, **fields: object) -> bytes:
    return json.dumps({"model": MODEL, "prompt": prompt, **fields}).encode()


def _chat(text: str) -> bytes:
    message = {"role": "user", "content": text}
    return _request("chat/completions", json.dumps({"model": MODEL, "messages": [message]}).encode())


def _lists(size: int) -> bytes:
    return b'{"model": "echo", "prompt": [' + b"[1]," * (size // 4) + b"[1]]}"


async def _again(port: int, data: bytes) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(_HOST, port)
            writer.write(data)
            await reader.read()
            writer.close()
        await asyncio.sleep(0.01)


async def _hold(port: int, data: bytes) -> None:
    """Send a request, then neither send nor read."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(_HOST, port, limit=1)
        writer.write(data)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(3600)


def _tiny_chunks() -> bytes:
    head = (
        b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    return head + b"1\r\nx\r\n" * 200_000


ATTACKS: dict[str, tuple[int, Callable[[int, bytes], Awaitable[None]], Callable[[], bytes]]] = {
    "12 MB of [[1],[1],...]": (1, _again, lambda: _request("completions", _lists(12_000_000))),
    "20 x 16 MB of text": (20, _again, lambda: _request("completions", _prompt("a b " * 4_000_000))),
    "20 x 60 KB of lists": (20, _again, lambda: _request("completions", _lists(60_000))),
    "1,500 slow connections": (1500, _hold, lambda: b"POST /v1/comp"),
    "20 clients that do not read": (
        20,
        _hold,
        lambda: _request("completions", _prompt("x" * 50_000, stream=True, max_tokens=50_000)),
    ),
    "20 clients that ask for /metrics": (
        20,
        _again,
        lambda: b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    ),
    "20 bodies in tiny chunks": (20, _again, _tiny_chunks),
    "chat template: endless loops": (4, _again, lambda: _chat("loops")),
    "chat template: 'a' * 3e9": (4, _again, lambda: _chat("repeat")),
}


def _run(name: str, port: int) -> None:
    clients, behave, make = ATTACKS[name]
    data = make()

    async def all_clients() -> None:
        await asyncio.gather(*(behave(port, data) for _ in range(clients)))

    asyncio.run(all_clients())


@contextlib.contextmanager
def attack(name: str, port: int) -> Iterator[None]:
    """Attack the port while the context lasts."""
    attacker = multiprocessing.get_context("spawn").Process(target=_run, args=(name, port), daemon=True)
    attacker.start()
    try:
        yield
    finally:
        attacker.kill()
        attacker.join()

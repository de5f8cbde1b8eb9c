"""Servers that speak nonsense: the client gets one clear error, and the next request works."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.cluster.deploy.router.proxy.conftest import MakeProxy
from tests.cluster.deploy.router.proxy.test_failures import check_error
from tests.cluster.deploy.router.proxy.upstreams import Engine, raw_server, url_of

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
NONSENSE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-ty",
    "a huge header": OK + b"x: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": OK + b"".join(b"x%d: %s\r\n" % (n, b"a" * 100) for n in range(20_000)) + b"\r\n",
    "a bad status": b"HTTP/1.1 banana OK\r\n\r\n",
    "a huge status": b"HTTP/1.1 99999 OK\r\n\r\n",
    "two lengths": OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "a negative length": OK + b"content-length: -5\r\n\r\nhello",
    "bad chunks": OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nhello",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
}
ODD_BUT_VALID = {
    "no length": (OK + b"\r\nhello", b"hello"),
    "control characters": (OK + b"x-odd: a\x01b\r\nx-good: c\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "no headers": (b"HTTP/1.1 200 OK\r\n\r\n", b""),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi"),
    "a redirect": (b"HTTP/1.1 307 X\r\nlocation: http://10.0.0.1/sleep\r\ncontent-length: 0\r\n\r\n", b""),
}


def answering(data: bytes) -> Any:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_a_failure_of_that_replica(proxy: MakeProxy, name: str) -> None:
    server = await raw_server(answering(NONSENSE[name]))
    alone = await proxy(url_of(server))
    assert "every ready replica failed" in check_error(await alone.complete(), 503)
    both = await proxy(url_of(server), Engine())
    assert (await both.complete()).status_code == 200
    server.close()


@pytest.mark.parametrize("name", ODD_BUT_VALID)
async def test_what_is_odd_but_valid_passes(proxy: MakeProxy, name: str) -> None:
    data, body = ODD_BUT_VALID[name]
    server = await raw_server(answering(data))
    routed = await proxy(url_of(server))
    answer = await routed.complete()
    assert answer.content == body
    assert "x-odd" not in answer.headers
    assert "location" not in answer.headers
    server.close()


async def test_a_body_shorter_than_its_length_is_not_taken_for_whole(proxy: MakeProxy) -> None:
    server = await raw_server(answering(OK + b"content-length: 500\r\n\r\n{"))
    routed = await proxy(url_of(server))
    with pytest.raises(Exception, match=r"(?i)incomplete|disconnected|without|peer closed"):
        await routed.complete()
    server.close()


async def test_a_server_that_trickles_disturbs_nobody(proxy: MakeProxy) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in OK + b"\r\n" + b"{}" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.01)

    server = await raw_server(trickle)
    routed = await proxy(url_of(server), Engine())
    slow = asyncio.create_task(routed.complete())
    await asyncio.sleep(0.1)
    assert [(await routed.complete()).status_code for _ in range(3)] == [200, 200, 200]
    assert not slow.done()
    slow.cancel()
    server.close()

"""Slow, silent or numerous clients cannot hold connections or replica slots."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cluster.deploy.router.router_limits import ConnectionLimits, connection_limits
from cluster.deploy.router.server import listening_socket
from tests.cluster.deploy.router.echo import EchoReplica
from tests.cluster.deploy.router.raw import answer_of, completion, connect, head, until

Listen = Callable[..., Any]
HASTY = ConnectionLimits(head_s=0.5, body_s=0.5, write_s=0.5, keep_alive_s=1, send_buffer_bytes=4096)


def code_of(data: bytes) -> int:
    body = json.loads(data.partition(b"\r\n\r\n")[2])
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return int(data.split()[1])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", 0),
        (b"GET /v1/models HT", 408),
        (b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx-a: b\r\n", 408),
        (head("content-length: 1000") + b"{", 408),
        (head("transfer-encoding: chunked") + b"5\r\nabc", 408),
    ],
)
async def test_a_request_must_arrive_in_time(listen: Listen, sent: bytes, status: int) -> None:
    reader, writer = await connect(await listen(EchoReplica("0"), limits=HASTY))
    writer.write(sent)
    got, data = await answer_of(reader)
    assert got == status
    assert not data or code_of(data) == status


async def test_headers_must_arrive_in_time_after_an_answer_too(listen: Listen) -> None:
    limits = dataclasses.replace(HASTY, keep_alive_s=30)
    reader, writer = await connect(await listen(EchoReplica("0"), limits=limits))
    writer.write(completion() + b"GET /v1/models HTTP/1.1\r\n")
    _, data = await answer_of(reader)
    assert re.findall(rb"HTTP/1\.1 (\d+)", data) == [b"200", b"408"]


async def test_a_client_that_does_not_read_loses_its_slot(listen: Listen) -> None:
    replica = EchoReplica("0", repeats=10**6)
    url = await listen(replica, limits=HASTY)
    _, writer = await connect(url, receive_buffer_bytes=4096)
    writer.write(completion(stream=True, max_tokens=190))
    await until(lambda: replica.in_flight == 1)
    await until(lambda: replica.in_flight == 0)
    assert replica.cancelled == 1
    writer.close()


async def test_a_client_that_reads_slowly_but_reads_is_served(listen: Listen) -> None:
    replica = EchoReplica("0", repeats=10)
    reader, writer = await connect(await listen(replica, limits=HASTY), receive_buffer_bytes=4096)
    writer.write(
        completion("x" * 100, stream=True, max_tokens=100).replace(
            b"\r\nhost", b"\r\nconnection: close\r\nhost"
        )
    )
    data = b""
    while part := await reader.read(2048):
        data += part
        await asyncio.sleep(0.02)
    assert data.count(b"data: ") > 100
    assert b"[DONE]" in data


async def test_with_too_many_connections_the_longest_idle_one_is_closed(listen: Listen) -> None:
    replica = EchoReplica("0")
    replica.gate.clear()
    url = await listen(replica, limits=ConnectionLimits(max_connections=4))
    busy = await connect(url)
    busy[1].write(completion())
    await until(lambda: replica.in_flight == 1)
    idle = [await connect(url) for _ in range(10)]
    for reader, _ in idle[:6]:
        assert (await answer_of(reader))[0] == 0
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/v1/models")).status_code == 200
    replica.gate.set()
    assert b"200" in await busy[0].readline()


async def test_connections_that_are_being_answered_are_never_dropped(listen: Listen) -> None:
    replica = EchoReplica("0")
    replica.gate.clear()
    url = await listen(replica, limits=ConnectionLimits(max_connections=3))
    busy = [await connect(url) for _ in range(3)]
    for _, writer in busy:
        writer.write(completion())
    await until(lambda: replica.in_flight == 3)
    reader, _ = await connect(url)
    status, data = await answer_of(reader)
    assert (status, code_of(data)) == (503, 503)
    replica.gate.set()
    for reader, _ in busy:
        assert b"200" in await reader.readline()


async def test_a_body_in_tiny_chunks_is_refused(listen: Listen) -> None:
    reader, writer = await connect(await listen(EchoReplica("0")))
    writer.write(head("transfer-encoding: chunked") + b"1\r\nx\r\n" * 5000)
    status, data = await answer_of(reader)
    assert (status, code_of(data)) == (400, 400)


async def test_what_is_sent_after_a_refusal_is_bounded(listen: Listen) -> None:
    _, writer = await connect(await listen(EchoReplica("0")))
    writer.write(b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
    sent = 0
    with pytest.raises(ConnectionError):
        while sent < 2**30:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            sent += 65536
    assert sent < 2**28


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"a" * 20_000])
async def test_invalid_http_gets_an_error_in_the_apis_format(listen: Listen, sent: bytes) -> None:
    reader, writer = await connect(await listen(EchoReplica("0")))
    writer.write(sent)
    status, data = await answer_of(reader)
    assert (status, code_of(data)) == (400, 400)


def test_connections_leave_room_for_other_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: raised.append(pair))
    for limits, most, soft in (
        ((64, 64), 16, None),
        ((64, 1024), 824, 1024),
        ((1024, 10**6), 1024, 4096),
        ((10**6, resource.RLIM_INFINITY), 1024, None),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 1024, None),
    ):
        raised.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, pair=limits: pair)
        assert connection_limits().max_connections == most
        assert [pair[0] for pair in raised] == ([] if soft is None else [soft])


async def test_small_pieces_are_sent_at_once() -> None:
    """With Nagle's algorithm a stream's first token would wait for the client's delayed acknowledgement."""
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        accepted.set_result(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listener = listening_socket("127.0.0.1", 0, ConnectionLimits())
    server = await asyncio.start_server(serve, sock=listener)
    _, writer = await asyncio.open_connection(*listener.getsockname())
    assert await accepted
    writer.close()
    server.close()

"""Streams pass the proxy piece by piece, and end when either side leaves."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tests.cluster.deploy.router.proxy.conftest import MODEL, MakeProxy
from tests.cluster.deploy.router.proxy.upstreams import Engine, stream_events
from tests.cluster.deploy.router.raw import until

FIELDS = {"model": MODEL, "prompt": "abc", "stream": True}
NUM_STREAMS = 200


async def test_a_stream_passes_unchanged(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    answer = await routed.complete(stream=True)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.content == b"".join(stream_events({}))


async def test_each_piece_passes_at_once(proxy: MakeProxy) -> None:
    """The engine goes on only after the client has what it sent before: buffering would stop both."""
    engine = Engine()
    routed = await proxy(engine)
    got = 0
    async with routed.client.stream("POST", "/v1/completions", json=FIELDS) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                got += 1
                engine.gate.clear()
                await asyncio.sleep(0)
                engine.gate.set()
    assert got == 5


async def test_a_slow_engine_is_not_waited_for_in_whole(proxy: MakeProxy) -> None:
    engine = Engine()
    routed = await proxy(engine)

    async def first_then_hold(request: Request, body: bytes) -> Response:
        async def pieces():  # type: ignore[no-untyped-def]
            for number, piece in enumerate(stream_events({})):
                if number == 1:
                    engine.gate.clear()
                await engine.gate.wait()
                yield piece

        return StreamingResponse(pieces(), media_type="text/event-stream")

    engine.answer = first_then_hold
    async with routed.client.stream("POST", "/v1/completions", json=FIELDS) as answer:
        lines = answer.aiter_lines()
        assert "one " in await anext(lines)
        engine.gate.set()
        assert [line async for line in lines][-2:] == ["data: [DONE]", ""]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_engine(proxy: MakeProxy, stream: bool) -> None:
    engine = Engine()
    left = asyncio.Event()

    async def until_left(request: Request, body: bytes) -> Response:
        async def pieces():  # type: ignore[no-untyped-def]
            try:
                while True:
                    yield b'data: {"choices": [{"text": "a"}]}\n\n'
                    await asyncio.sleep(0.01)
            finally:
                left.set()

        if stream:
            return StreamingResponse(pieces(), media_type="text/event-stream")
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        left.set()
        return Response()

    engine.answer = until_left
    routed = await proxy(engine)
    with pytest.raises(httpx.ReadTimeout):
        async with routed.client.stream("POST", "/v1/completions", json=FIELDS, timeout=0.5) as answer:
            await anext(answer.aiter_bytes())
            raise httpx.ReadTimeout("enough")
    await asyncio.wait_for(left.wait(), 30)
    await until(lambda: routed.balancer.counts("0").in_flight == 0)
    assert b"clusterview_cancelled_total 1.0" in routed.balancer.metrics.text()


async def test_a_client_that_does_not_read_holds_up_the_engine_not_the_router(proxy: MakeProxy) -> None:
    """Otherwise an endless answer would fill the router's memory."""
    sent = 0

    async def endless(request: Request, body: bytes) -> Response:
        async def pieces():  # type: ignore[no-untyped-def]
            nonlocal sent
            while True:
                sent += 65536
                yield b"x" * 65536
                await asyncio.sleep(0)

        return StreamingResponse(pieces(), media_type="application/json")

    routed = await proxy(Engine(answer=endless))
    async with routed.client.stream("POST", "/v1/completions", json=FIELDS) as answer:
        await anext(answer.aiter_bytes())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.5)
    # What the buffers of three sockets hold, not what the engine would send in that time.
    assert sent < 64 * 1024**2


async def test_many_streams_at_once(proxy: MakeProxy) -> None:
    routed = await proxy(Engine(), Engine())
    limits = httpx.Limits(max_connections=NUM_STREAMS)
    async with httpx.AsyncClient(base_url=routed.url, timeout=120, limits=limits) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/completions", json=FIELDS) for _ in range(NUM_STREAMS))
        )
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers} == {b"".join(stream_events({}))}
    assert sorted(len(engine.seen) for engine in routed.engines) == [NUM_STREAMS // 2, NUM_STREAMS // 2]
    assert json.loads(routed.engines[0].seen[0][1]) == FIELDS

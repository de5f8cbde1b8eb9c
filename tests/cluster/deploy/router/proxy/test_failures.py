"""Servers that fail: another one answers if the client has got nothing yet, else the error is clear."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from cluster.deploy.router.handlers import REPLICA_HEADER
from cluster.deploy.router.proxy import server_replica
from tests.cluster.deploy.router.conftest import Clock
from tests.cluster.deploy.router.proxy.conftest import MakeProxy, Proxy
from tests.cluster.deploy.router.proxy.upstreams import Engine, stream_events
from tests.cluster.deploy.router.raw import until

NOBODY = "http://127.0.0.1:1"


def check_error(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "127.0.0.1" not in error["message"]
    return str(error["message"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_is_gone_is_skipped_and_paused(proxy: MakeProxy, stream: bool) -> None:
    clock = Clock()
    routed = await proxy(NOBODY, Engine(), clock=clock)
    answers = [await routed.complete(stream=stream) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert {answer.headers[REPLICA_HEADER] for answer in answers} == {"1"}
    assert routed.balancer.counts("0").failures_in_a_row == 1


async def test_when_all_are_gone_the_error_says_why(proxy: MakeProxy) -> None:
    routed = await proxy(NOBODY, NOBODY)
    message = check_error(await routed.complete(), 503)
    assert message.endswith(
        "every ready replica failed (the last one: its server does not accept connections)"
    )


async def test_without_replicas_it_says_so(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    routed.tell(0, ready=False)
    assert "0 of 1 replicas are ready" in check_error(await routed.complete(), 503)
    routed.tell(0, ready=True, endpoint=None)
    assert "0 of 1 replicas are ready" in check_error(await routed.complete(), 503)


def failing(status: int) -> Any:
    async def answer(request: Request, body: bytes) -> Response:
        return JSONResponse({"error": {"message": f"mine is {status}"}}, status_code=status)

    return answer


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_server_error_is_tried_elsewhere_without_pausing_anybody(
    proxy: MakeProxy, status: int
) -> None:
    """A dying vLLM answers 500 to what was in flight; but a request may also be the cause."""
    routed = await proxy(Engine(answer=failing(status)), Engine())
    assert [(await routed.complete()).headers[REPLICA_HEADER] for _ in range(2)] == ["1", "1"]
    assert len(routed.engines[0].seen) == 1 + (len(routed.engines[0].seen) > 1)
    assert routed.balancer.counts("0").failures_in_a_row == 0


async def test_an_error_of_two_servers_is_the_answer(proxy: MakeProxy) -> None:
    routed = await proxy(*(Engine(answer=failing(500)) for _ in range(4)))
    answer = await routed.complete()
    assert (answer.status_code, answer.json()["error"]["message"]) == (500, "mine is 500")
    assert sum(len(engine.seen) for engine in routed.engines) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 501])
async def test_other_errors_are_not_tried_elsewhere(proxy: MakeProxy, status: int) -> None:
    routed = await proxy(Engine(answer=failing(status)), Engine(answer=failing(status)))
    assert (await routed.complete()).status_code == status
    assert sum(len(engine.seen) for engine in routed.engines) == 1


async def test_a_stream_that_begins_with_an_error_is_tried_elsewhere(proxy: MakeProxy) -> None:
    async def answer(request: Request, body: bytes) -> Response:
        return Response(b'data: {"error": {"message": "engine died"}}\n\n', media_type="text/event-stream")

    routed = await proxy(Engine(answer=answer), Engine())
    got = await routed.complete(stream=True)
    assert got.content == b"".join(stream_events({}))
    alone = await proxy(Engine(answer=answer))
    assert b"engine died" in (await alone.complete(stream=True)).content


def broken_after(num_pieces: int, engine: Engine, media_type: str) -> Any:
    async def answer(request: Request, body: bytes) -> Response:
        async def pieces():  # type: ignore[no-untyped-def]
            for piece in stream_events({})[:num_pieces]:
                yield piece
            await asyncio.sleep(0.05)
            engine.drop_connections()
            await asyncio.sleep(60)

        return StreamingResponse(pieces(), media_type=media_type)

    return answer


async def test_a_stream_that_breaks_off_before_its_first_byte_is_tried_elsewhere(proxy: MakeProxy) -> None:
    engine = Engine()
    engine.answer = broken_after(0, engine, "text/event-stream")
    routed = await proxy(engine, Engine())
    assert (await routed.complete(stream=True)).content == b"".join(stream_events({}))
    assert routed.balancer.counts("0").failures_in_a_row == 1


async def test_a_stream_that_breaks_off_later_ends_with_an_error_event(proxy: MakeProxy) -> None:
    engine = Engine()
    engine.answer = broken_after(2, engine, "text/event-stream")
    routed = await proxy(engine, Engine())
    events = (await routed.complete(stream=True)).text.split("\n\n")
    assert [part for part in events if part][:2] == [e.decode().strip() for e in stream_events({})[:2]]
    assert "replica 0 failed while answering" in events[-2]
    assert "[DONE]" not in events[-2]
    await until(lambda: routed.balancer.counts("0").in_flight == 0)
    assert routed.balancer.counts("0").failures_in_a_row == 1


async def test_a_whole_answer_that_breaks_off_is_not_taken_for_whole(proxy: MakeProxy) -> None:
    engine = Engine()
    engine.answer = broken_after(2, engine, "application/json")
    routed = await proxy(engine)
    with pytest.raises(httpx.RemoteProtocolError):
        await routed.complete()
    await until(lambda: routed.balancer.counts("0").in_flight == 0)


async def held(routed: Proxy, engine: Engine, **fields: Any) -> asyncio.Task[httpx.Response]:
    engine.gate.clear()
    task = asyncio.create_task(routed.complete(**fields))
    await until(lambda: bool(engine.seen))
    return task


@pytest.mark.parametrize("stream", [False, True])
async def test_a_restarted_replica_is_not_waited_for(proxy: MakeProxy, stream: bool) -> None:
    """A node that is lost closes no connection: only the controller knows."""
    routed = await proxy(Engine(), Engine())
    task = await held(routed, routed.engines[0], stream=stream)
    routed.tell(0, start=2, ready=False)
    assert (await task).headers[REPLICA_HEADER] == "1"
    assert routed.balancer.counts("0").in_flight == 0
    assert routed.balancer.counts("0").failures_in_a_row == 0


async def test_a_restarted_replica_starts_with_a_clean_record(proxy: MakeProxy) -> None:
    routed = await proxy(NOBODY, Engine())
    await routed.complete()
    engine = await Engine().start()
    routed.tell(0, start=2, endpoint=engine.url)
    assert "0" in {(await routed.complete()).headers[REPLICA_HEADER] for _ in range(2)}
    await engine.stop()


async def test_a_replica_that_is_left_out_is_gone(proxy: MakeProxy) -> None:
    routed = await proxy(Engine(), Engine())
    task = await held(routed, routed.engines[0])
    routed.pool.update(routed.news[1:])
    assert (await task).headers[REPLICA_HEADER] == "1"
    assert [one.name for one in routed.pool.replicas()] == ["1"]


async def test_a_draining_replica_ends_its_requests_and_gets_no_more(proxy: MakeProxy) -> None:
    routed = await proxy(Engine(), Engine())
    task = await held(routed, routed.engines[0])
    routed.tell(0, draining=True)
    assert {(await routed.complete()).headers[REPLICA_HEADER] for _ in range(3)} == {"1"}
    assert routed.traffic("0").in_flight == 1
    routed.engines[0].gate.set()
    assert (await task).headers[REPLICA_HEADER] == "0"
    await until(lambda: routed.traffic("0").in_flight == 0)


async def test_draining_the_deployment_refuses_and_waits(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    task = await held(routed, routed.engines[0])
    drained = asyncio.create_task(routed.balancer.drain(60.0))
    await asyncio.sleep(0)
    assert "stopping" in check_error(await routed.complete(), 503)
    routed.engines[0].gate.set()
    assert (await task).status_code == 200
    assert await drained


async def test_a_silent_server_is_504(proxy: MakeProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_replica, "SILENT_S", 0.3)
    routed = await proxy(Engine(), Engine())
    task = await held(routed, routed.engines[0])
    assert "silent" in check_error(await task, 504)
    assert routed.engines[1].seen == []


async def test_health_asks_the_servers(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    assert (await routed.client.get("/health")).json()["status"] == "ok"
    routed.engines[0].answer = failing(503)
    answer = await routed.client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["reasons"] == ["replica 0: its server's /health answers 503"]

"""The router's actor in front of servers: it needs neither tokenizer nor the model's config."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cluster.deploy import router_actor
from cluster.deploy.replica_news import ReplicaNews
from cluster.deploy.router_actor import RouterActor
from cluster.deploy.spec import DeploymentSpec, ModelSource, ServerPlan
from cluster.engines.launch import ServerLaunch
from cluster.errors import BadInput, Unreachable
from cluster.planner.layout import Layout
from tests.cluster.deploy.router.proxy.conftest import news_for
from tests.cluster.deploy.router.proxy.upstreams import Engine
from tests.ray.support import ENGINE

SPEC = DeploymentSpec(
    name="a",
    model=ModelSource(name="org/model", config={}),
    layout=Layout(),
    engine=ENGINE,
    server=ServerPlan(launch=ServerLaunch(model="/models/m", served_name="served")),
    ranks=(),
)


class Heard:
    """Stands for the watch over a controller, of which there is none here."""

    def hear(self) -> None: ...


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    started = await Engine().start()
    yield started
    await started.stop()


@pytest.fixture
async def actor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RouterActor]:
    monkeypatch.setattr(router_actor, "ControllerWatch", lambda pid, gcs_address: Heard())
    actor = RouterActor(SPEC, 0, "")
    yield actor
    await actor.update([])


async def say(actor: RouterActor, *news: ReplicaNews) -> None:
    await actor.update(list(news))


async def test_a_prompt_of_the_screen_is_streamed(actor: RouterActor, engine: Engine) -> None:
    await say(actor, news_for(engine.url, 0, api_key="k"))
    pieces = [piece async for piece in actor.prompt("hello\ud800", 7)]
    assert pieces == [("one ", 0), ("two ", 0), ("three", 0)]
    request, body = engine.seen[0]
    assert request.headers["authorization"] == "Bearer k"
    assert body == (
        b'{"model": "served", "prompt": "hello?", "max_tokens": 7, "temperature": 0, "stream": true}'
    )


async def test_update_returns_the_traffic(actor: RouterActor, engine: Engine) -> None:
    news = [news_for(engine.url, 0), news_for("http://127.0.0.1:1", 1)]
    assert (await actor.update(news))[0].requests_total == 0
    _ = [piece async for piece in actor.prompt("hello", 7)]
    figures = await actor.update(news)
    assert (figures[0].requests_total, figures[0].output_tokens_total) == (1, 3)
    assert (figures[1].requests_total, figures[1].ttft_s) == (0, None)


@pytest.mark.parametrize(("status", "kind"), [(400, BadInput), (500, Unreachable)])
async def test_the_engines_reason_is_shown(
    actor: RouterActor, engine: Engine, status: int, kind: type[Exception]
) -> None:
    async def refuse(request: Request, body: bytes) -> Response:
        return JSONResponse({"error": {"message": "the prompt is too long"}}, status_code=status)

    engine.answer = refuse
    await say(actor, news_for(engine.url, 0))
    with pytest.raises(kind, match="the prompt is too long"):
        await anext(actor.prompt("hello", 5))


async def test_an_error_within_the_stream_is_shown(actor: RouterActor, engine: Engine) -> None:
    async def fail(request: Request, body: bytes) -> Response:
        events = b'data: {"choices": [{"text": "a"}]}\n\ndata: {"error": {"message": "rank 1 died"}}\n\n'
        return Response(events, media_type="text/event-stream")

    engine.answer = fail
    await say(actor, news_for(engine.url, 0))
    pieces = actor.prompt("hello", 5)
    assert await anext(pieces) == ("a", 0)
    with pytest.raises(Unreachable, match="replica 0 failed while answering: rank 1 died"):
        await anext(pieces)


async def test_without_a_server_it_says_so(actor: RouterActor) -> None:
    with pytest.raises(Unreachable, match="no replica can answer"):
        await anext(actor.prompt("hello", 5))


async def test_it_listens_where_the_order_says(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    monkeypatch.setattr(router_actor, "ControllerWatch", lambda pid, gcs_address: Heard())
    with pytest.raises(BadInput, match="needs an API key"):
        RouterActor(SPEC.model_copy(update={"router_host": "0.0.0.0"}), 0, "")
    actor = RouterActor(SPEC.model_copy(update={"router_host": "127.0.0.2"}), 0, "")
    port = await actor.serve(0)
    await say(actor, news_for(engine.url, 0))
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.2:{port}/v1/models")
        assert answer.json() == {"path": "/v1/models", "engine": "engine"}
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/v1/models")
    await actor.update([])
    assert actor._serving is not None
    actor._serving.cancel()

"""OpenAI's client over the proxy and real processes of the fake engine, which echoes what it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.cluster.deploy.router.proxy.conftest import MakeProxy, Proxy
from tests.cluster.deploy.router.raw import until
from tests.fake_engine.python import control, end_engine_processes, fake_python
from tests.fake_engine.test_fake_engine import Started
from tests.ray.real_ray import free_port

SERVER_KEY = "server-key"
Start = Callable[[], Started]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = fake_python(tmp_path_factory.mktemp("engine") / "env", load_s=0.0)
    yield made
    end_engine_processes(made)


@pytest.fixture(scope="module")
def server(python: Path) -> Started:
    started = Started(python, free_port(), env={"VLLM_API_KEY": SERVER_KEY})
    started.wait_listening()
    return started


@pytest.fixture
async def routed(proxy: MakeProxy, server: Started) -> Proxy:
    return await proxy(f"http://127.0.0.1:{server.port}", api_key=SERVER_KEY)


@pytest.fixture
async def client(routed: Proxy) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{routed.url}/v1", api_key="mine", max_retries=0) as client:
        yield client


async def test_models_and_completions(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["m"]
    answer = await client.completions.create(model="m", prompt="a", max_tokens=4, n=3, logprobs=1)
    assert len(answer.choices) == 3
    assert all(choice.logprobs is not None for choice in answer.choices)
    assert answer.usage is not None


async def test_chat_with_tools_and_a_response_format(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "hi"}],
        tools=[{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        response_format={"type": "json_object"},
        logprobs=True,
        top_logprobs=2,
        n=2,
    )
    assert len(answer.choices) == 2
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.choices[0].message.tool_calls
    assert answer.choices[0].logprobs is not None


async def test_a_streamed_chat_with_usage(client: openai.AsyncOpenAI, routed: Proxy) -> None:
    stream = await client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        max_tokens=5,
        stream_options={"include_usage": True},
    )
    parts = [part async for part in stream]
    assert parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens == 5
    assert any(part.choices and part.choices[0].delta.content for part in parts)
    assert routed.traffic().output_tokens_total == 5


async def test_embeddings(client: openai.AsyncOpenAI) -> None:
    answer = await client.embeddings.create(model="m", input=["a", "b"], encoding_format="float")
    assert len(answer.data) == 2


async def test_the_engines_own_errors_arrive(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await client.completions.create(model="other", prompt="a")


async def test_a_dead_rank_is_the_clients_500(client: openai.AsyncOpenAI, python: Path) -> None:
    control(python, dead_rank=True)
    try:
        with pytest.raises(openai.InternalServerError):
            await client.completions.create(model="m", prompt="a")
    finally:
        control(python, dead_rank=False)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_killed_server_loses_no_request_that_got_no_token(
    proxy: MakeProxy, python: Path, server: Started, stream: bool
) -> None:
    victim = Started(python, free_port(), env={"VLLM_API_KEY": SERVER_KEY})
    victim.wait_listening()
    control(python, ttft_s=1.0)
    try:
        urls = [f"http://127.0.0.1:{one.port}" for one in (victim, server)]
        routed = await proxy(*urls, api_key=SERVER_KEY)
        fields = {"model": "m", "prompt": "a", "max_tokens": 3, "stream": stream}
        asked = [asyncio.create_task(_ask(routed, fields)) for _ in range(6)]
        await until(lambda: routed.balancer.counts("0").in_flight == 3)
        victim.process.kill()
        answers = await asyncio.gather(*asked)
    finally:
        control(python, ttft_s=0.0)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert {answer.headers["x-clusterview-replica"] for answer in answers} == {"1"}


async def _ask(routed: Proxy, fields: dict[str, object]) -> httpx.Response:
    return await routed.client.post("/v1/completions", json=fields)

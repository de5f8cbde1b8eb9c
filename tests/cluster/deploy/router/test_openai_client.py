"""The official client over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest

from tests.cluster.deploy.router.conftest import MODEL
from tests.cluster.deploy.router.echo import EchoReplica

Listen = Callable[..., Any]


@pytest.fixture
async def client(listen: Listen) -> AsyncIterator[openai.AsyncOpenAI]:
    url = await listen(EchoReplica("0"), EchoReplica("1"))
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_completion(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model=MODEL, prompt="héllo", max_tokens=50, temperature=0)
    assert answer.choices[0].text == "héllo"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 13


async def test_streamed_completion(client: openai.AsyncOpenAI) -> None:
    stream = await client.completions.create(model=MODEL, prompt="héllo", max_tokens=50, stream=True)
    parts = [part async for part in stream]
    assert "".join(part.choices[0].text for part in parts) == "héllo"


async def test_chat(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], stop=["i"]
    )
    assert answer.choices[0].message.content == "user: h"
    assert answer.choices[0].finish_reason == "stop"


async def test_streamed_chat_with_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    parts = [part async for part in stream]
    assert "".join(part.choices[0].delta.content or "" for part in parts[:-1]) == "user: hi\nassistant: "
    assert parts[-1].usage is not None
    assert parts[-1].usage.completion_tokens == 21


async def test_models(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).id == MODEL


async def test_errors_arrive_as_the_clients_own(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="this deployment serves"):
        await client.completions.create(model="gpt-4", prompt="a")
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        await client.completions.create(model=MODEL, prompt="a", max_tokens=10**9)


async def test_a_failure_midway_reaches_the_reader(listen: Listen) -> None:
    url = await listen(EchoReplica("0", fail_at=2))
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.completions.create(model=MODEL, prompt="abcdef", max_tokens=50, stream=True)
        texts: list[str] = []
        with pytest.raises(openai.APIError, match="replica failed"):
            async for part in stream:
                texts.append(part.choices[0].text)
    assert "".join(texts) == "ab"


async def test_no_replica_is_an_error_that_clients_retry(listen: Listen) -> None:
    replica = EchoReplica("0")
    replica.ready = False
    url = await listen(replica)
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.completions.create(model=MODEL, prompt="a")
    assert caught.value.status_code == 503

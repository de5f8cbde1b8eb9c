"""Streamed answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.deploy.router.conftest import Serve
from tests.cluster.deploy.router.echo import EchoReplica


def events(text: str) -> list[Any]:
    blocks = [block for block in text.split("\n\n") if block]
    assert all(block.startswith("data: ") for block in blocks)
    assert blocks[-1] == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-1]]


async def test_a_streamed_completion_adds_up(serve: Serve) -> None:
    answer = await serve().complete("héllo", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = events(answer.text)
    assert "".join(part["choices"][0]["text"] for part in parts) == "héllo"
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None] * 5 + ["stop"]
    assert len({part["id"] for part in parts}) == 1
    assert all("usage" not in part for part in parts)


async def test_a_streamed_chat_opens_with_the_role(serve: Serve) -> None:
    parts = events((await serve().chat("hi", stream=True)).text)
    assert parts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (
        "".join(part["choices"][0]["delta"].get("content", "") for part in parts) == "user: hi\nassistant: "
    )
    assert parts[-1]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    assert {part["object"] for part in parts} == {"chat.completion.chunk"}


@pytest.mark.parametrize("chat", [False, True])
async def test_usage_comes_last_when_asked_for(serve: Serve, chat: bool) -> None:
    served = serve()
    ask = served.chat if chat else served.complete
    *parts, last = events((await ask("abc", stream=True, stream_options={"include_usage": True})).text)
    assert last["choices"] == []
    prompt = len("user: abc\nassistant: " if chat else "abc")
    assert last["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": prompt + 1,
        "total_tokens": 2 * prompt + 1,
    }
    assert all(part["usage"] is None for part in parts)


async def test_a_stop_string_never_shows_even_in_parts(serve: Serve) -> None:
    parts = events((await serve().complete("abcdef", stream=True, stop="cde")).text)
    assert "".join(part["choices"][0]["text"] for part in parts) == "ab"
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"


async def test_incomplete_characters_wait_for_their_rest(serve: Serve) -> None:
    parts = events((await serve().complete("a€😀", stream=True)).text)
    assert [part["choices"][0]["text"] for part in parts] == ["a", "€", "😀", ""]


async def test_a_character_cut_by_max_tokens_shows_as_a_replacement_character(serve: Serve) -> None:
    parts = events((await serve().complete("a€", stream=True, max_tokens=2)).text)
    assert "".join(part["choices"][0]["text"] for part in parts) == "a\ufffd"


async def test_a_replica_that_fails_midway_ends_the_stream_with_an_error(serve: Serve) -> None:
    answer = await serve(EchoReplica("0", fail_at=2), EchoReplica("1")).complete("abcdef", stream=True)
    assert answer.status_code == 200
    *parts, last = [json.loads(block.removeprefix("data: ")) for block in answer.text.split("\n\n") if block]
    assert "".join(part["choices"][0]["text"] for part in parts) == "ab"
    assert "rank 1 of replica 0 is gone" in last["error"]["message"]
    assert "[DONE]" not in answer.text

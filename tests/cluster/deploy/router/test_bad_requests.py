"""Any invalid request gets an error in the API's format, never a crash."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cluster.deploy.router.conftest import CONTEXT, MODEL, Clock, Serve, make_router
from tests.cluster.deploy.router.echo import EchoReplica


def check_error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return dict(error)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": 5}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [[1], [2]]}, "prompt"),
        ({"prompt": [1, -1]}, "prompt"),
        ({"prompt": [257]}, "prompt"),
        ({"prompt": [10**30]}, "prompt"),
        ({"prompt": [1, True]}, "prompt"),
        ({"prompt": "x" * (CONTEXT + 1)}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.01}, "top_p"),
        ({"seed": 2**64}, "seed"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"n": 2}, "n"),
        ({"echo": True}, "echo"),
        ({"logprobs": 3}, "logprobs"),
        ({"suffix": "x"}, "suffix"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
    ],
)
async def test_wrong_fields_are_400_and_named(serve: Serve, fields: dict[str, Any], param: str) -> None:
    assert check_error(await serve().complete(**fields), 400)["param"] == param


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "hi",
        [],
        [{"role": "user"}],
        [{"role": "king", "content": "hi"}],
        [{"role": "user", "content": 5}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    ],
)
async def test_wrong_messages_are_400(serve: Serve, messages: object) -> None:
    assert check_error(await serve().chat(messages=messages), 400)["param"] == "messages"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"5",
        b'{"model": "\\ud800"}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 50_000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
async def test_an_invalid_body_is_400(serve: Serve, path: str, body: bytes) -> None:
    check_error(await serve().client.post(path, content=body), 400)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
async def test_invalid_numbers_are_400(serve: Serve, number: str) -> None:
    body = f'{{"model": "{MODEL}", "prompt": "a", "temperature": {number}}}'
    check_error(await serve().client.post("/v1/completions", content=body), 400)


async def test_an_unknown_model_is_404(serve: Serve) -> None:
    error = check_error(await serve().complete(model="gpt-4"), 404)
    assert error["code"] == "model_not_found"
    assert MODEL in error["message"]


async def test_a_context_overrun_says_how_much_would_fit(serve: Serve) -> None:
    error = check_error(await serve().complete("x" * 50, max_tokens=CONTEXT), 400)
    assert error["code"] == "context_length_exceeded"
    assert f"at most {CONTEXT - 50}" in error["message"]


async def test_a_body_without_end_is_413(serve: Serve) -> None:
    async def endless() -> Any:
        for _ in range(2000):
            yield b"x" * 65536

    check_error(await serve().client.post("/v1/completions", content=endless()), 413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/completions", 404), ("GET", "/v1/completions", 405), ("DELETE", "/health", 405)],
)
async def test_unknown_paths_and_methods(serve: Serve, method: str, path: str, status: int) -> None:
    check_error(await serve().client.request(method, path), status)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["prompt", "messages", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "n", "tools"]


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(["completions", "chat/completions"]),
    fields=st.dictionaries(st.sampled_from(FIELDS), JSON),
)
async def test_no_field_of_any_type_crashes_the_router(path: str, fields: dict[str, Any]) -> None:
    transport = httpx.ASGITransport(make_router((EchoReplica("0"),), clock=Clock()))
    good = {"model": MODEL, "prompt": "a", "messages": [{"role": "user", "content": "a"}]}
    body = json.dumps({**good, **fields})
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"content-type": "application/json"}
        answer = await client.post(f"/v1/{path}", content=body, headers=headers)
    assert answer.status_code in (200, 400)

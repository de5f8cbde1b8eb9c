"""Answers without streaming: format, token counts, and where they end."""

from __future__ import annotations

import pytest

from cluster.deploy.router.replica_pool import SamplingParams
from tests.cluster.deploy.router.conftest import CONTEXT, MODEL, Serve


async def test_a_completion_has_the_apis_format(serve: Serve) -> None:
    answer = await serve().complete("héllo")
    body = answer.json()
    assert answer.status_code == 200
    assert body["object"] == "text_completion"
    assert body["model"] == MODEL
    assert body["id"].startswith("cmpl-")
    choice = {"index": 0, "text": "héllo", "logprobs": None, "finish_reason": "stop"}
    assert body["choices"] == [choice]
    # Six bytes in; the same six and the end token out.
    assert body["usage"] == {"prompt_tokens": 6, "completion_tokens": 7, "total_tokens": 13}


async def test_a_chat_answer_has_the_apis_format(serve: Serve) -> None:
    body = (await serve().chat("hi")).json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    message = {"role": "assistant", "content": "user: hi\nassistant: ", "refusal": None}
    assert body["choices"] == [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    assert body["usage"]["total_tokens"] == 20 + 21


async def test_message_content_may_come_in_parts(serve: Serve) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": parts}]
    body = {"model": MODEL, "messages": messages}
    answer = await serve().client.post("/v1/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "system: s\nuser: ab\nassistant: "


async def test_max_tokens_cuts_the_answer(serve: Serve) -> None:
    body = (await serve().complete("abcdef", max_tokens=2)).json()
    assert body["choices"][0] == {"index": 0, "text": "ab", "logprobs": None, "finish_reason": "length"}
    assert body["usage"]["completion_tokens"] == 2


async def test_without_max_tokens_a_completion_has_sixteen(serve: Serve) -> None:
    body = (await serve().complete("x" * 40, max_tokens=None)).json()
    assert body["usage"]["completion_tokens"] == 16


async def test_without_max_tokens_a_chat_has_the_rest_of_the_context(serve: Serve) -> None:
    served = serve()
    await served.chat("x" * 90)
    assert served.replicas[0].params[0].max_tokens == CONTEXT - len("user: \nassistant: ") - 90


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_both_names_of_the_limit_hold_in_a_chat(serve: Serve, field: str) -> None:
    body = (await serve().chat("abc", **{field: 3})).json()
    assert body["choices"][0]["message"]["content"] == "use"
    assert body["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stop", ["cd", ["zz", "cd"], ["d", "cd"], ["cde", "cd"]])
async def test_a_stop_string_ends_the_text_before_it(serve: Serve, stop: object) -> None:
    served = serve()
    body = (await served.complete("abcdef", stop=stop)).json()
    assert body["choices"][0]["text"] == "ab" if stop != ["d", "cd"] else "abc"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] <= 5
    assert served.replicas[0].in_flight == 0


async def test_a_partial_stop_string_is_not_lost(serve: Serve) -> None:
    assert (await serve().complete("abcd", stop="cdX")).json()["choices"][0]["text"] == "abcd"


async def test_sampling_reaches_the_replica(serve: Serve) -> None:
    served = serve()
    await served.complete("a", temperature=0, top_p=0.5, seed=-7, max_tokens=3)
    await served.complete("a", temperature=None, top_p=None, max_tokens=3)
    assert served.replicas[0].params == [
        SamplingParams(max_tokens=3, temperature=0.0, top_p=0.5, seed=-7),
        SamplingParams(max_tokens=3, temperature=1.0, top_p=1.0, seed=None),
    ]


@pytest.mark.parametrize("prompt", [[97, 98], [[97, 98]], ["ab"], "ab"])
async def test_a_prompt_may_be_text_or_token_ids(serve: Serve, prompt: object) -> None:
    assert (await serve().complete(prompt)).json()["choices"][0]["text"] == "ab"


async def test_fields_without_effect_are_accepted(serve: Serve) -> None:
    answer = await serve().complete("a", user="me", n=1, echo=False, presence_penalty=0.0, logprobs=None)
    assert answer.status_code == 200


async def test_models_lists_the_one_model(serve: Serve) -> None:
    client = serve().client
    (model,) = (await client.get("/v1/models")).json()["data"]
    assert (model["id"], model["object"], model["max_model_len"]) == (MODEL, "model", CONTEXT)
    assert (await client.get(f"/v1/models/{MODEL}")).json() == model
    assert (await client.get("/v1/models/other")).status_code == 404

"""What the router counts of proxied answers, and reports as traffic and in /metrics."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from starlette.responses import Response

from cluster.deploy.router.proxy.answer_events import AnswerFacts, EventSplitter, read_answer
from tests.cluster.deploy.router.conftest import Clock
from tests.cluster.deploy.router.proxy.conftest import MODEL, MakeProxy, Proxy
from tests.cluster.deploy.router.proxy.upstreams import Engine


async def samples(routed: Proxy) -> dict[tuple[str, str], float]:
    """Return the metrics of replica 0 by name and finish reason."""
    text = (await routed.client.get("/metrics")).text
    return {
        (sample.name, sample.labels.get("finished_reason", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("replica") == "0" and sample.labels.get("model_name", MODEL) == MODEL
    }


async def test_a_stream_counts_by_its_events_with_text(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    await routed.complete(stream=True)
    figures = routed.traffic()
    assert (figures.requests_total, figures.output_tokens_total) == (1, 3)
    assert figures.ttft_s is not None
    assert figures.tokens_per_s > 0


async def test_the_engines_own_count_replaces_that_of_events(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    await routed.complete(stream=True, stream_options={"include_usage": True})
    assert routed.traffic().output_tokens_total == 4


async def test_a_whole_answer_counts_by_its_usage(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    await routed.complete()
    figures = routed.traffic()
    assert (figures.requests_total, figures.output_tokens_total, figures.ttft_s) == (1, 3, None)


async def test_what_is_no_generation_is_no_request(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    await routed.client.get("/v1/models")
    await routed.client.get("/health")
    await routed.client.post("/tokenize", json={"prompt": "a"})
    assert routed.traffic().requests_total == 0


async def test_times_are_those_of_the_stream(proxy: MakeProxy) -> None:
    """First token after 2 s, the third 3 s later: TPOT is the half of that."""
    clock = Clock()
    engine = Engine()

    async def answer(request: Request, body: bytes) -> Response:
        clock.now_s += 2.0
        return Response(_event("a"), media_type="text/event-stream")

    engine.answer = answer
    routed = await proxy(engine, clock=clock)
    await routed.complete(stream=True)
    assert routed.traffic().ttft_s == 2.0
    clock.now_s += 61.0
    assert routed.traffic().ttft_s is None


async def test_a_new_start_counts_anew_but_prometheus_goes_on(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    await routed.complete()
    routed.tell(0, start=2)
    assert routed.traffic().requests_total == 0
    assert (await samples(routed))[("clusterview_requests_total", "")] == 1.0


async def test_metrics_have_vllms_names(proxy: MakeProxy) -> None:
    routed = await proxy(Engine())
    stats = replace(routed.news[0].stats, running=3, waiting=2, kv_cache_use=0.25)
    routed.tell(0, stats=replace(stats, engine_output_tokens_total=77.0))
    await routed.complete()
    await routed.complete(stream=True)
    values = await samples(routed)
    assert values[("vllm:num_requests_running", "")] == 3.0
    assert values[("vllm:num_requests_waiting", "")] == 2.0
    assert values[("vllm:kv_cache_usage_perc", "")] == 0.25
    assert values[("vllm:generation_tokens_total", "")] == 77.0
    assert values[("clusterview_output_tokens_total", "")] == 6.0
    assert values[("vllm:prompt_tokens_total", "")] == 5.0
    assert values[("vllm:request_success_total", "length")] == 2.0
    assert values[("vllm:e2e_request_latency_seconds_count", "")] == 2.0
    assert values[("vllm:time_to_first_token_seconds_count", "")] == 1.0
    assert values[("vllm:inter_token_latency_seconds_count", "")] == 2.0
    assert values[("vllm:time_per_output_token_seconds_count", "")] == 2.0


def _event(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"text": text}]}).encode() + b"\n\n"


CHAT = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
TOOL = {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}}]}
EVENTS: list[tuple[Any, AnswerFacts]] = [
    (CHAT, AnswerFacts()),
    ({"choices": [{"delta": {"content": "a"}}]}, AnswerFacts(has_text=True)),
    ({"choices": [{"delta": {"reasoning": "a"}}]}, AnswerFacts(has_text=True)),
    (TOOL, AnswerFacts(has_text=True)),
    ({"choices": [{"text": "a"}]}, AnswerFacts(has_text=True, text="a")),
    ({"choices": [{"text": "", "finish_reason": "stop"}]}, AnswerFacts(finish_reason="stop")),
    ({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, AnswerFacts(False, "", 1, 2)),
    ({"type": "response.output_text.delta", "delta": "a"}, AnswerFacts(has_text=True)),
    ({"type": "response.output_text.done", "text": "a"}, AnswerFacts()),
    (
        {"type": "response.completed", "response": {"usage": {"input_tokens": 1, "output_tokens": 2}}},
        AnswerFacts(prompt_tokens=1, output_tokens=2),
    ),
    ({"type": "content_block_delta", "delta": {"text": "a"}}, AnswerFacts(has_text=True)),
    (
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        AnswerFacts(output_tokens=2, finish_reason="end_turn"),
    ),
    ({"error": {"message": "m"}}, AnswerFacts(error="m")),
    ({"error": 5}, AnswerFacts(error="it gives no reason")),
    ({"choices": 5, "usage": []}, AnswerFacts()),
    ({"choices": [None, 5, {"delta": 5, "text": 5, "finish_reason": []}]}, AnswerFacts(has_text=True)),
    ({"usage": {"completion_tokens": True, "prompt_tokens": -1}}, AnswerFacts()),
    ({"usage": {"completion_tokens": 10**30}}, AnswerFacts()),
    ([], AnswerFacts()),
    ("text", AnswerFacts()),
]


@pytest.mark.parametrize(("answer", "facts"), EVENTS)
def test_what_an_event_says(answer: Any, facts: AnswerFacts) -> None:
    assert read_answer(json.dumps(answer).encode()) == facts


@pytest.mark.parametrize(
    "data", [b"", b"[DONE]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 9999]
)
def test_what_is_no_answer_says_nothing(data: bytes) -> None:
    assert read_answer(data) == AnswerFacts()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_found_however_they_are_cut(size: int) -> None:
    stream = (
        b"event: x\r\ndata: one\r\n\r\ndata:two\n\n: comment\n\ndata: three\ndata: four\n\ndata: unfinished"
    )
    splitter = EventSplitter()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [data for piece in pieces for data in splitter.feed(piece)] == [b"one", b"two", b"three", b"four"]


def test_an_endless_event_is_skipped_without_being_kept() -> None:
    splitter = EventSplitter()
    for _ in range(100):
        assert list(splitter.feed(b"data: " + b"x" * 100_000)) == []
        assert len(splitter._rest) <= 256 * 1024
    assert list(splitter.feed(b"\n\ndata: next\n\n")) == [b"next"]

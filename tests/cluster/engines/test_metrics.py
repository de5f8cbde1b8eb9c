"""Servers' own figures and the proof that they generate."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.engines.adapter import EngineMetrics, load_adapter

VLLM, SGLANG = load_adapter("vllm"), load_adapter("sglang")
LOGS = Path(__file__).with_name("logs")


def test_the_metrics_of_a_real_server() -> None:
    found = VLLM.read_metrics((LOGS / "vllm-0.32.0-metrics.txt").read_text())
    assert (found.running, found.waiting, found.kv_cache_use) == (0, 0, 0.0)
    assert (found.prompt_tokens_total, found.output_tokens_total, found.requests_total) == (63, 32, 5)
    assert (found.prefix_queries_total, found.prefix_hits_total, found.preemptions_total) == (63, 0, 0)
    assert (found.ttft_count, found.tpot_count) == (5, 27)
    assert found.ttft_sum_s == pytest.approx(20.03, abs=0.01)


def test_engines_of_one_server_are_added_up_and_their_caches_averaged() -> None:
    text = "\n".join(
        f'vllm:num_requests_running{{engine="{n}",model_name="m"}} {n + 1}.0\n'
        f'vllm:kv_cache_usage_perc{{engine="{n}",model_name="m"}} 0.{n + 2}'
        for n in range(2)
    )
    found = VLLM.read_metrics(text)
    assert found.running == 3
    assert found.kv_cache_use == pytest.approx(0.25)
    assert found.waiting is None


def test_names_of_older_releases() -> None:
    text = 'vllm:gpu_cache_usage_perc{model_name="m"} 0.5\nvllm:time_per_output_token_seconds_sum{} 2.0\n'
    found = VLLM.read_metrics(text)
    assert (found.kv_cache_use, found.tpot_sum_s) == (0.5, 2.0)


def test_sglang() -> None:
    labels = '{model_name="m",tp_rank="0"}'
    found = SGLANG.read_metrics(
        f"# TYPE sglang:num_running_reqs gauge\nsglang:num_running_reqs{labels} 3\n"
        f"sglang:num_queue_reqs{labels} 2\nsglang:token_usage{labels} 0.28\n"
        f"sglang:prompt_tokens_total{labels} 8128\nsglang:cached_tokens_total{labels} 128\n"
        f"sglang:generation_tokens_total{labels} 700\nsglang:num_requests_total{labels} 9\n"
        f"sglang:inter_token_latency_seconds_sum{labels} 1.5\n"
        f"sglang:inter_token_latency_seconds_count{labels} 100\n"
    )
    assert (found.running, found.waiting, found.kv_cache_use) == (3, 2, 0.28)
    assert (found.prefix_queries_total, found.prefix_hits_total) == (8128, 128)
    assert (found.tpot_sum_s, found.tpot_count) == (1.5, 100)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>404</html>",
        "vllm:num_requests_running",
        "vllm:num_requests_running{ 3",
        "vllm:num_requests_running{} NaN\nvllm:num_requests_waiting{} +Inf",
        'vllm:num_requests_running{a="' + "\\" * 1_000_000,
        "vllm:num_requests_running{" * 200_000,
        "\x00" * 1000,
    ],
)
def test_what_is_no_metric_is_no_figure(text: str) -> None:
    assert VLLM.read_metrics(text) == EngineMetrics()


def test_a_proof_asks_for_one_token_of_the_served_model() -> None:
    for adapter in (VLLM, SGLANG):
        request = adapter.proof("tiny")
        assert request.path == "/v1/completions"
        assert (request.body["model"], request.body["max_tokens"]) == ("tiny", 1)


@pytest.mark.parametrize(
    ("answer", "proves"),
    [
        ({"choices": [{"text": "7"}], "usage": {"completion_tokens": 1}}, True),
        ({"choices": [{"text": ""}], "usage": {"completion_tokens": 1}}, True),
        ({"choices": [{"text": "7"}], "usage": {"completion_tokens": 0}}, False),
        ({"choices": [], "usage": {"completion_tokens": 1}}, False),
        ({"choices": [{"text": "7"}]}, False),
        ({"choices": "yes", "usage": {"completion_tokens": 1}}, False),
        ({"choices": [{}], "usage": {"completion_tokens": True}}, False),
        ({"choices": [{}], "usage": {"completion_tokens": "1"}}, False),
        ({"error": {"message": "no such model"}}, False),
        ({}, False),
    ],
)
def test_only_a_generated_token_proves(answer: dict[str, object], proves: bool) -> None:
    assert VLLM.has_token(answer) is proves
    assert SGLANG.has_token(answer) is proves

"""What vLLM's log says, line by line. Lines are those of real servers or of vLLM's own format strings."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.adapter import load_adapter
from cluster.engines.startup import StartupFacts, StartupPhase, merged, of_replica
from cluster.units import GIB

ENGINE = load_adapter("vllm")
LOGS = Path(__file__).with_name("logs")


def _rows(file: str) -> list[Any]:
    return [json.loads(line) for line in (LOGS / file).read_text().splitlines()]


FACTS, PERMANENT = _rows("vllm-facts.jsonl"), _rows("vllm-permanent.jsonl")


def _facts(*lines: str) -> StartupFacts:
    known = StartupFacts()
    for line in lines:
        news = ENGINE.read_line(line)
        known = merged(known, news.facts) if news and news.facts else known
    return known


def test_a_real_start_with_two_ranks_on_a_cpu() -> None:
    lines = (LOGS / "vllm-0.32.0-cpu-tp2.txt").read_text().splitlines()
    facts = _facts(*lines)
    assert facts.version == "0.32.0"
    assert facts.kv_cache_bytes == GIB
    assert facts.kv_cache_tokens == 524_288
    assert facts.max_concurrency == 2048
    assert facts.max_model_len == 256
    assert facts.weights_load_s == 0.01
    news = [news for line in lines if (news := ENGINE.read_line(line))]
    assert not any(one.permanent_error for one in news)
    phases = list(dict.fromkeys(one.phase for one in news if one.phase))
    assert phases == [
        StartupPhase.STARTING,
        StartupPhase.LOADING,
        StartupPhase.KV_CACHE,
        StartupPhase.LISTENING,
    ]
    assert [one.progress for one in news if one.progress is not None] == [0.0, 1.0]


@pytest.mark.parametrize("row", FACTS, ids=lambda row: str(row["line"])[:60])
def test_lines_of_releases(row: dict[str, Any]) -> None:
    """The file has memory in GiB, as the lines have."""
    expected = {
        name: round(value * GIB) if name.endswith("_bytes") else value for name, value in row["facts"].items()
    }
    assert _facts(row["line"]).model_dump(exclude_none=True) == expected


def test_sums_that_newer_releases_log_are_parted() -> None:
    facts = _facts(
        "INFO 11-28 [m.py:1] Model loading took 14.99 GiB memory and 4.5 seconds",
        "INFO 11-28 [m.py:1] Estimated CUDA graph memory: 0.60 GiB total",
        "INFO 11-28 [w.py:1] Actual usage is 15.50 GiB for consumed memory (weights + non-torch), "
        "2.63 GiB for peak activation, and 0.61 GiB for CUDAGraph memory.",
    )
    assert facts.non_torch_bytes == pytest.approx(0.51 * GIB, abs=2)
    assert facts.activation_bytes == pytest.approx(2.03 * GIB, abs=2)


def test_of_several_ranks_the_largest_share_and_the_smallest_cache_count() -> None:
    facts = _facts(
        "(Worker_TP0 pid=1) INFO 11-28 [m.py:1] Model loading took 7.50 GiB memory and 4 seconds",
        "(Worker_TP1 pid=2) INFO 11-28 [m.py:1] Model loading took 7.25 GiB memory and 4 seconds",
        "(Worker_TP0 pid=1) INFO 11-28 [w.py:1] Available KV cache memory: 60.0 GiB",
        "(Worker_TP1 pid=2) INFO 11-28 [w.py:1] Available KV cache memory: 61.0 GiB",
    )
    assert (facts.weights_bytes, facts.kv_cache_bytes) == (round(7.5 * GIB), 60 * GIB)


def test_the_cache_of_attention_ranks_is_added_up() -> None:
    facts = of_replica(StartupFacts(kv_cache_tokens=1000, max_concurrency=2.5, weights_bytes=7), 4)
    assert (facts.kv_cache_tokens, facts.max_concurrency, facts.weights_bytes) == (4000, 10.0, 7)


def test_a_progress_bar_with_carriage_returns_counts_at_its_last_state() -> None:
    bar = "Loading safetensors checkpoint shards:  {}% Completed | {}/4 [00:01<00:03,  1.2s/it]"
    news = ENGINE.read_line("\r".join(bar.format(25 * n, n) for n in range(4)) + "\r\n")
    assert news is not None
    assert (news.phase, news.progress) == (StartupPhase.LOADING, 0.75)
    news = ENGINE.read_line("Capturing CUDA graphs (decode, FULL):  50%|█████     | 16/32 [00:02<00:02]")
    assert news is not None
    assert (news.phase, news.progress) == (StartupPhase.CAPTURING, 0.5)


@pytest.mark.parametrize("line", PERMANENT)
def test_errors_that_a_restart_cannot_fix(line: str) -> None:
    news = ENGINE.read_line(line)
    assert news is not None and news.permanent_error
    assert "\x1b" not in news.permanent_error and len(news.permanent_error) <= 256


@pytest.mark.parametrize(
    "line",
    [
        "WARNING 11-28 03:20:00 [x.py:1] ImportError: no module named 'nixl'; going on without it",
        "INFO 11-28 03:20:00 [x.py:1] ModuleNotFoundError: was caught",
        "/tmp/kernel.cu(12): error: identifier is undefined",
        "/tmp/inductor/main.c:3:5: error: unknown type name",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "ValueError: Free memory on device cuda:0 (3.2/79.2 GiB) on startup is less than desired GPU memory",
        'INFO:     127.0.0.1:33108 - "GET /health HTTP/1.1" 200 OK',
        "",
    ],
)
def test_what_may_pass_is_no_permanent_error(line: str) -> None:
    news = ENGINE.read_line(line)
    assert news is None or not news.permanent_error


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize(
    "line",
    [
        "(" * 1_000_000,
        "( pid=) " * 125_000,
        "9," * 500_000,
        "\r" * 1_000_000,
        "\x1b[0m" * 250_000,
        "KV cache size: " * 70_000,
        "checkpoint shards:" + "9" * 1_000_000 + "%",
        "\x00\ud800\u202e" * 300_000,
        "INFO " + "[" * 1_000_000,
    ],
)
def test_a_hostile_line_of_a_megabyte_is_read_at_once(engine: str, line: str) -> None:
    started = time.process_time()
    load_adapter(engine).read_line(line)
    assert time.process_time() - started < 2  # a matcher of quadratic cost takes minutes

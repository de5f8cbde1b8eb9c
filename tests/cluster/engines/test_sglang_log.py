"""What SGLang's log says, line by line. Lines are made by SGLang's own format strings (0.4.6 and 0.5.23)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.engines.adapter import load_adapter
from cluster.engines.startup import StartupPhase
from cluster.units import GIB

ENGINE = load_adapter("sglang")
LOGS = Path(__file__).with_name("logs")
FACTS = [json.loads(line) for line in (LOGS / "sglang-facts.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("row", FACTS, ids=lambda row: str(row["line"])[:60])
def test_lines_of_releases(row: dict[str, Any]) -> None:
    news = ENGINE.read_line(row["line"])
    assert news is not None
    assert news.phase == StartupPhase(row["phase"])
    facts = news.facts.model_dump(exclude_none=True) if news.facts else {}
    # GB stands for GiB in its log. Sums of two sizes are rounded once.
    expected = {
        name: pytest.approx(value * GIB, abs=1) if name.endswith("_bytes") else value
        for name, value in row["facts"].items()
    }
    assert facts == expected


def test_progress_bars() -> None:
    news = ENGINE.read_line("Capturing batches (bs=1 avail_mem=3.1 GB):  50%|█████ | 1/2 [00:00<00:00]")
    assert news is not None
    assert (news.phase, news.progress) == (StartupPhase.CAPTURING, 0.5)
    news = ENGINE.read_line("Loading safetensors checkpoint shards:  25% Completed | 1/4 [00:01<00:03]")
    assert news is not None
    assert (news.phase, news.progress) == (StartupPhase.LOADING, 0.25)


@pytest.mark.parametrize(
    "line",
    [
        "launch_server.py: error: unrecognized arguments: --no-such-option",
        "/opt/bin/python3: No module named sglang",
        "ImportError: libcudart.so.13: cannot open shared object file",
        "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
        "ValueError: Model architectures ['Xyz'] are not supported for now. Supported architectures: []",
        "AssertionError: Number of attention heads must be divisible by the tensor parallel size",
    ],
)
def test_errors_that_a_restart_cannot_fix(line: str) -> None:
    news = ENGINE.read_line(line)
    assert news is not None
    assert news.permanent_error == line

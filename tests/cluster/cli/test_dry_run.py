"""`clusterview --dry-run` in a process of its own: text, JSON, exit status."""

from __future__ import annotations

import json
import re

import pytest

from cluster.cli.defaults import read_defaults
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview

PLAN = ("--dry-run", "--model", "llama-3.1-70b", "--cluster", "2x4xA100-80GB")


def test_text_for_a_person() -> None:
    done = run_clusterview(*PLAN)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    for told in (
        "Recommended: TP=4, DP=2",
        "Does the model fit on 1 GPU? NO",
        "replica 1: node-2 GPU 0-3",
        "0-2047, 2048-4095, 4096-6143, 6144-8191",
        "160 all-reduces",
        "TP=4, PP=2",
    ):
        assert told in done.stdout
    assert all(len(line) <= 120 for line in done.stdout.splitlines())


def test_json_has_the_fixed_shape() -> None:
    answer = json.loads(run_clusterview(*PLAN, "--json").stdout)
    assert answer["schema_version"] == 1
    assert {"name", "parameters", "active_parameters", "weights_bytes", "dtype", "quantization"} <= set(
        answer["model"]
    )
    assert answer["model"]["kv_bytes_per_token"] == 327_680
    gpu = answer["cluster"]["nodes"][1]["gpus"][3]
    assert {"index", "uuid", "type", "memory_total_bytes", "memory_free_bytes"} <= set(gpu)
    assert set(answer["engine"]) == {"name", "version"}
    assert all(set(step) == {"question", "answer", "because"} for step in answer["decision"])
    check_candidate(answer["recommended"])
    assert answer["candidates"][0] == answer["recommended"]
    feasible = [candidate["feasible"] for candidate in answer["candidates"]]
    assert feasible == sorted(feasible, reverse=True)


def check_candidate(candidate: dict[str, object]) -> None:
    layout = candidate["layout"]
    assert isinstance(layout, dict)
    assert layout["tp"] * layout["pp"] * layout["dp"] == layout["gpus"] == 8
    assert candidate["label"] == "TP=4, DP=2" and candidate["rejections"] == []
    placement = candidate["placement"]
    assert isinstance(placement, list) and len(placement) == 8
    assert {"replica", "stage", "rank", "node", "gpu_index", "gpu_uuid"} <= set(placement[0])
    memory = candidate["memory_per_gpu"]
    assert isinstance(memory, dict)
    parts = ("weights", "activation", "cuda_graph", "non_torch", "kv_cache")
    assert sum(memory[f"{part}_bytes"] for part in parts) == memory["total_bytes"]
    assert isinstance(candidate["kv_cache_tokens"], int) and isinstance(candidate["max_concurrency"], float)
    estimate = candidate["estimate"]
    assert isinstance(estimate, dict)
    for figure in ("throughput_tokens_per_s", "ttft_s", "tpot_s"):
        assert estimate[figure]["low"] <= estimate[figure]["value"] <= estimate[figure]["high"]


def test_nothing_fits_is_status_1_with_the_gib() -> None:
    done = run_clusterview("--dry-run", "--model", "llama-3.1-70b", "--cluster", "1xA100-80GB")
    assert done.returncode == 1
    assert "No layout fits" in done.stdout and "GiB over the 73.2 GiB budget" in done.stdout
    answer = json.loads(
        run_clusterview("--dry-run", "--model", "llama-3.1-70b", "--cluster", "1xA100-80GB", "--json").stdout
    )
    assert answer["recommended"] is None
    assert answer["candidates"][0]["rejections"][0]["rule"] == "weights_do_not_fit"


def test_a_pinned_degree_is_judged() -> None:
    done = run_clusterview(*PLAN, "--tp", "8")
    assert done.returncode == 0
    assert "note: TP=8 all-reduces across nodes at every layer" in done.stdout
    assert run_clusterview(*PLAN, "--tp", "16").returncode == 1
    assert run_clusterview(*PLAN, "--tp", "2", "--max-model-len", "16K").returncode == 0


def test_a_simulated_cluster_says_so() -> None:
    done = run_clusterview(
        "--dry-run", "--model", "llama-3.1-8b", "--simulate", "4xL4", "--max-model-len", "8k"
    )
    assert done.returncode == 0 and "SIMULATED" in done.stdout


def test_the_default_model_is_named() -> None:
    done = run_clusterview("--dry-run", "--cluster", "4xA100-80GB")
    assert done.returncode == 0 and f"planning for {read_defaults().models[0]}" in done.stderr


def test_one_is_not_plural_and_thousands_are_set_apart() -> None:
    lengths = ("--input-tokens", "20000", "--output-tokens", "10000", "--concurrency", "12000")
    done = run_clusterview("--dry-run", "--cluster", "2x1xA100-80GB", "--model", "llama-3.1-70b", *lengths)
    text = " ".join(done.stdout.split())
    assert "20,000 tokens in, 10,000 out, 12,000 in flight, max-model-len 131,072" in text
    assert "has 1 GPU" in text
    assert not re.search(r"(?<![\d.,=-])1 (GPUs|nodes|replicas|ranks)\b", text)
    # What is to be typed stays as it is typed.
    assert not re.search(r"(?<!--max-model-len )(?<!\d)\d{5,}", text)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--dry-run", "--cluster", "2x4xA100-81GB"), "position 5"),
        (("--dry-run", "--cluster", "nowhere.json"), "neither a file nor a cluster spec"),
        (("--dry-run", "--model", "lama-3.1-70b", "--cluster", "1xL4"), "meta-llama/Llama-3.1-70B-Instruct"),
        (("--dry-run", "--cluster", "1xL4", "--simulate", "1xL4"), "cannot be combined"),
        (("--dry-run", "--cluster", "1xL4", "--tp", "0"), "--tp"),
        (("--dry-run", "--cluster", "1xL4", "--tp", "1e99"), "--tp"),
        (("--dry-run", "--cluster", "1xL4", "--gpu-memory-utilization", "1.5"), "between 0 and 1"),
        (("--dry-run", "--cluster", "1xL4", "--max-model-len", "-4"), "--max-model-len"),
        (("--dry-run", "--cluster", "1xL4", "--ttft-ms", "nan"), "--ttft-ms"),
        (("--dry-run", "--cluster", "1xL4", "--engine", "tgi"), "--engine"),
        (("--dry-run", "--cluster", "1xL4", "--engine-version", "x.y"), "version"),
        (("--dry-run", "--nonsense"), "--nonsense"),
        (("--dry-run", "--cluster", "8yH100"), "expected 'x' and a GPU type at position 2 of '8yH100'"),
        (("--dry-run", "--cluster", "8"), "position 2 of '8'"),
        (("--dry-run", "--cluster", ""), "argument --cluster: must not be empty"),
        (("--dry-run", "--simulate", " "), "argument --simulate: must not be empty"),
        (("--dry-run", "--cluster", "1xL4", "--model", ""), "argument --model: must not be empty"),
        (("status", "--address", ""), "argument --address: must not be empty"),
        (("launch",), "launch"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments: tuple[str, ...], told: str) -> None:
    assert told in one_line_error(run_clusterview(*arguments))


def test_help_and_version() -> None:
    done = run_clusterview("--help")
    assert done.returncode == 0 and "--max-model-len" in done.stdout and "deploy" in done.stdout
    assert run_clusterview("--version").stdout.startswith("clusterview ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    import subprocess
    import sys

    program = [sys.executable, "-m", "tui", *PLAN, "--json", "--top", "50"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.read(1)
        running.stdout.close()
        assert running.stderr.read() == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--input-tokens", "5000"), "--input-tokens 5000 exceeds the maximum sequence length of 4,096"),
        (
            ("--input-tokens", "4000", "--output-tokens", "200"),
            "with --output-tokens 200 exceeds the maximum",
        ),
    ],
)
def test_lengths_that_no_sequence_holds_are_refused(options: tuple[str, ...], told: str) -> None:
    short = ("--dry-run", "--model", "meta-llama/Llama-2-7b-hf", "--cluster", "1xL40S")
    assert told in one_line_error(run_clusterview(*short, *options))

"""`deploy --dry-run`: the same before and after the verb, and nothing is started; options of other verbs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.process_table import processes_with
from tests.cluster.cli.run_clusterview import one_line_error, run_clusterview

SIMULATED = ("--simulate", "1x2xL4", "--model", "llama-3.1-8b")
DESCRIBED = ("--cluster", "2x4xA100-80GB", "--model", "llama-3.1-8b", "--tp", "4")


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    """A state folder of its own, in whose name no process may be left."""
    return {"CLUSTERVIEW_STATE_DIR": str(tmp_path)}


def answer_of(*arguments: str, **environment: str) -> dict[str, Any]:
    done = run_clusterview(*arguments, "--json", **environment)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_both_spellings_are_a_dry_run_of_the_deployment(state: dict[str, str]) -> None:
    before = answer_of("--dry-run", "deploy", *SIMULATED, "--name", "mine", **state)
    after = answer_of("deploy", "--dry-run", *SIMULATED, "--name", "mine", **state)
    assert before["order"] == after["order"] and before["preflight"] == after["preflight"]
    assert not processes_with("CLUSTERVIEW_STATE_DIR", state["CLUSTERVIEW_STATE_DIR"])
    assert not list(Path(state["CLUSTERVIEW_STATE_DIR"]).iterdir())
    order = after["order"]
    assert (order["name"], order["weights"], order["simulated"]) == ("mine", "dummy", True)
    assert order["engine"]["name"] == "builtin" and order["engine"]["planned_for"].startswith("vllm ")
    assert [(rank["node"], rank["gpu_index"]) for rank in order["ranks"]] == [("node-1", 0), ("node-1", 1)]
    (node,) = after["preflight"]
    assert node["state"] == "ok" and node["packages"]["torch"] and node["python"]
    assert "is not running" in after["preflight_note"]
    assert after["recommended"]["label"] == order["label"]


def test_on_a_described_cluster_the_nodes_cannot_be_asked() -> None:
    done = run_clusterview("deploy", "--dry-run", *DESCRIBED)
    assert (done.returncode, done.stderr) == (0, "")
    for told in (
        "Deployment llama-3.1-8b: TP=4, DP=2 on 8 GPUs",
        "weights from each node's hub cache",
        "replica 1 stage 0 rank 3  node-2 GPU 3",
        "not checked: --cluster only describes a cluster",
        "Nothing was started.",
    ):
        assert told in done.stdout
    order = answer_of("deploy", "--dry-run", *DESCRIBED, "--load-format", "dummy")["order"]
    assert (order["weights"], order["hub_id"]) == ("dummy", None)


def test_a_layout_that_does_not_fit_is_status_1_with_the_plan() -> None:
    arguments = ("deploy", "--dry-run", "--cluster", "1xL4", "--model", "llama-3.1-70b", "--json")
    done = run_clusterview(*arguments)
    assert done.returncode == 1 and "no layout fits" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["order"] is None and answer["recommended"] is None and answer["candidates"]


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ("--engine", "tensorrt-llm"),
            "tensorrt-llm can be planned for but not deployed. Deploy with --engine builtin or ",
        ),
        (("--engine", "builtin", "--engine-version", "0.11.0"), "--engine-version"),
        (("--engine", "builtin", "--engine-python", "/opt/python"), "--engine-python is for "),
        (("--engine-python", "bin/python"), "'bin/python' is not the absolute path of an interpreter"),
        (("--host", "0.0.0.0"), "--host 0.0.0.0 lets other machines reach the endpoint, which needs an API"),
        (("--workload", "training"), "training can be planned but not deployed"),
        (("--load-format", "pt"), "invalid choice: 'pt' (choose from 'auto', 'safetensors', 'dummy')"),
        (("--port", "70000"), "'70000' is not a port"),
    ],
)
def test_what_would_not_be_done_as_asked_is_refused(
    dry_run: tuple[str, ...], options: tuple[str, ...], told: str, state: dict[str, str]
) -> None:
    """Before anything is started: in one line, also on a simulated cluster."""
    done = run_clusterview("deploy", *dry_run, *SIMULATED, *options, **state)
    assert told in one_line_error(done)


@pytest.mark.parametrize(
    "option", ["--quantization fp8", "--kv-cache-dtype fp8", "--max-num-batched-tokens 9"]
)
def test_what_the_engine_does_not_support_is_refused_on_real_gpus(option: str) -> None:
    done = run_clusterview("deploy", "--dry-run", *DESCRIBED, "--engine", "builtin", *option.split())
    assert f"the built-in engine does not support {option}" in one_line_error(done)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--dry-run", "status"), "status does not take --dry-run. It never changes anything"),
        (("--dry-run", "snapshot"), "snapshot does not take --dry-run"),
        (("doctor", "--dry-run"), "--dry-run"),
        (("--model", "m", "status"), "status does not take --model"),
        (("--tp", "2", "stop", "--all"), "stop does not take --tp"),
        (("--demo", "deploy"), "deploy does not take --demo"),
        (("--json", "snapshot"), "snapshot does not take --json"),
    ],
)
def test_an_option_before_a_verb_means_what_it_means_after_it(arguments: tuple[str, ...], told: str) -> None:
    assert told in one_line_error(run_clusterview(*arguments))

"""A row of `clusterview report` is evidence as it is: the scorer reads it, and leaves out what is made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.models.load import load_config
from cluster.cli.report_row import report_row, shape_of
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.engine_in_use import EngineInUse
from cluster.deploy.spec import DeploymentSpec, ModelSource, ServerPlan
from cluster.deploy.status import DeploymentState, DeploymentStatus, Measured
from cluster.engines.launch import ServerLaunch
from cluster.load.mix import LoadMix
from cluster.load.result import LoadResult, Spread
from cluster.units import GIB
from tests.evidence.memory_accuracy import memory_accuracy
from tests.evidence.models import EvidenceModels
from tests.evidence.refusal_accuracy import false_refusals
from tests.evidence.report import report
from tests.evidence.rows import left_out_lines
from tests.evidence.throughput_accuracy import read_cases
from tests.ray.support import order

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
FOLDER = "/home/anna/models/secret-tune"
CLUSTER = parse_cluster_spec("1x2xH100")
LAUNCH = ServerLaunch(
    model=FOLDER,
    served_name="anna",
    tp=2,
    max_model_len=16384,
    max_num_seqs=256,
    gpu_memory_utilization=0.9,
    dtype="bfloat16",
    extra_args=("--chat-template", "/home/anna/template.jinja", "--enable-auto-tool-choice"),
)


def a_spec(**changes: Any) -> DeploymentSpec:
    config = {**(load_config(MODEL) or {}), "_name_or_path": FOLDER}
    fields: dict[str, Any] = {
        "model": ModelSource(name=FOLDER, path=FOLDER, config=config),
        "engine": EngineInUse(name="vllm", version="0.19.0", planned_for="vllm 0.19.0"),
        "server": ServerPlan(launch=LAUNCH, python="/home/anna/venv/bin/python"),
        "device": "cuda",
        "simulated": False,
        "created_at_s": 1000.0,
    }
    return order(CLUSTER, "anna", [[(0, 0), (0, 1)]], **{**fields, **changes})


def a_status(spec: DeploymentSpec) -> DeploymentStatus:
    measured = Measured(
        weights_bytes=int(7.51 * GIB),
        activation_bytes=int(1.2 * GIB),
        kv_cache_bytes=int(61 * GIB),
        kv_cache_tokens=999_400,
        max_concurrency=61.0,
        total_bytes=int(71 * GIB),
        throughput_tokens_per_s=120.0,
    )
    return DeploymentStatus(
        name="anna",
        model=spec.model.name,
        label="TP=2",
        layout=spec.layout,
        state=DeploymentState.READY,
        measured=measured,
    )


def a_load(spec: DeploymentSpec, began_at_s: float = 2000.0, **mix: Any) -> LoadResult:
    return LoadResult(
        name="anna",
        model=spec.model.name,
        layout=spec.layout,
        endpoint="http://anna-pc:1234",
        began_at_s=began_at_s,
        duration_s=60.0,
        mix=LoadMix(**mix),
        requests_done=400,
        input_tokens=400 * 1024,
        output_tokens=400 * 128,
        output_tokens_per_s=3400.0,
        mean_in_flight=14.2,
        ttft_s=Spread(count=400, mean=0.08, p50=0.07, p90=0.1, p99=0.2),
        tpot_s=Spread(count=400, mean=0.0046, p50=0.0046, p90=0.005, p99=0.006),
    )


def a_row(spec: DeploymentSpec, load: LoadResult | None = None) -> dict[str, Any]:
    row = report_row(spec, a_status(spec), CLUSTER, load, "2026-11-28")
    return json.loads(json.dumps(row, allow_nan=False))  # type: ignore[no-any-return]


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    (folder / "reports.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_memory_of_a_report_is_scored_with_the_model_that_it_brings(tmp_path: Path) -> None:
    found = memory_accuracy(written(tmp_path, a_row(a_spec())))
    (weights,), (tokens,), (activation,) = found.weights, found.tokens, found.activation
    assert weights.measured == pytest.approx(7.51, abs=1e-3)
    assert abs(weights.relative) < 0.02, "half of an 8B model in bf16"
    assert tokens.measured == 999_400 and abs(tokens.relative) < 0.02
    assert activation.measured == pytest.approx(1.2, abs=1e-3)
    assert len(found.room) == 1 and abs(found.room[0].absolute) < 5
    assert false_refusals(tmp_path, EvidenceModels(tmp_path)) == []


@pytest.mark.parametrize(
    ("mix", "kind", "in_flight", "figures"),
    [
        ({"num_prompts": 400, "max_concurrency": 16}, "steady", 16, {"throughput", "tpot"}),
        ({"num_prompts": 400, "request_rate": 26.5}, "rate", 14, {"tpot", "ttft"}),
        ({"num_prompts": 400}, "burst", 400, {"throughput", "tpot"}),
    ],
)
def test_its_load_test_is_scored_with_the_requests_that_were_sent(
    tmp_path: Path, mix: dict[str, Any], kind: str, in_flight: int, figures: set[str]
) -> None:
    spec = a_spec()
    (case,), left_out = read_cases(written(tmp_path, a_row(spec, a_load(spec, **mix))))
    request = case.measured.question.request
    assert left_out == () and case.measured.kind == kind
    assert (request.concurrency, request.input_tokens, request.output_tokens) == (in_flight, 1024, 128)
    found = dict(case.misses())
    assert set(found) == figures
    assert found["tpot"].measured == pytest.approx(0.0046)
    assert found["tpot"].predicted > 0.001


def test_a_report_without_a_load_test_is_left_out_of_time_by_name(tmp_path: Path) -> None:
    cases, left_out = read_cases(written(tmp_path, a_row(a_spec())))
    assert cases == () and dict(left_out) == {"clusterview report: no load test in it": 1}


def test_a_load_test_of_an_earlier_deployment_of_this_name_is_not_in_it() -> None:
    spec = a_spec()
    assert "output_tok_s" in a_row(spec, a_load(spec))
    assert "output_tok_s" not in a_row(spec, a_load(spec, began_at_s=999.0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"simulated": True}, "SIMULATED"),
        ({"model": ModelSource(name=MODEL, config=load_config(MODEL) or {})}, "DUMMY WEIGHTS"),
    ],
)
def test_what_is_made_up_is_left_out_by_name(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    spec = a_spec(**changes)
    folder = written(tmp_path, a_row(spec, a_load(spec, max_concurrency=16)))
    found = memory_accuracy(folder)
    assert (found.weights, found.tokens, found.room, found.activation) == ([], [], [], [])
    assert read_cases(folder)[0] == ()
    (line,) = left_out_lines(folder)
    assert line.startswith("left out: reports:1 ") and line.endswith(reason)
    assert line in report(folder)


def test_nothing_in_it_says_where_or_by_whom_it_was_measured() -> None:
    spec = a_spec()
    row = a_row(spec, a_load(spec))
    text = json.dumps({**row, "model": ""})
    node = CLUSTER.nodes[0].name
    for word in (
        "anna",
        "home",
        "venv",
        "jinja",
        "1234",
        node,
        spec.ranks[0].gpu_uuid,
        spec.ranks[0].node_id,
    ):
        assert word not in text, word
    assert row["model"] == "secret-tune"
    assert row["further_options"] == ["--chat-template", "--enable-auto-tool-choice"]
    assert (row["gpu"], row["engine"], row["version"]) == ("H100", "vllm", "0.19.0")
    assert (row["source"], row["date"]) == ("clusterview report", "2026-11-28")
    assert (row["gpu_memory_utilization"], row["max_num_seqs"], row["tp"]) == (0.9, 256, 2)


def test_a_model_of_the_hub_keeps_its_name() -> None:
    by_hub = a_spec(model=ModelSource(name=MODEL, hub_id=MODEL, config=load_config(MODEL) or {}))
    assert a_row(by_hub)["model"] == MODEL


def test_a_config_keeps_its_shape_only() -> None:
    kept = shape_of(
        {
            "_name_or_path": "annas-model",
            "hidden_size": 64,
            "architectures": ["LlamaForCausalLM"],
            "description": "made by Anna on gpu-a",
            "template_file": "/home/anna/x",
            "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "file": "a/b"},
            "quantization_config": {"quant_method": "fp8", "ignore": ["lm_head", "re:.*gate$"]},
            "head_dim": None,
            "tie_word_embeddings": False,
        }
    )
    assert kept == {
        "hidden_size": 64,
        "architectures": ["LlamaForCausalLM"],
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
        "quantization_config": {"quant_method": "fp8", "ignore": ["lm_head", "re:.*gate$"]},
        "tie_word_embeddings": False,
    }

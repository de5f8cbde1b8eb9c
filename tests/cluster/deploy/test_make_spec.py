"""From a plan to an order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.make_spec import free_name, is_runnable, spec_from
from cluster.deploy.model_choice import path_named
from cluster.deploy.spec import FULL_SIZE, ModelSource
from cluster.errors import BadInput, DeployFailed
from cluster.planner.plan import plan
from cluster.planner.request import EngineName, PlanRequest
from cluster.planner.result import Candidate, Plan
from tests.ray.support import TINY_LLAMA

CLUSTER = parse_cluster_spec("1x2xA100-80GB", "spec")
SIMULATED = parse_cluster_spec("2x4xA100-80GB", "simulated")


def planned(model: str, engine: EngineName = "builtin", **request: Any) -> tuple[Plan, Candidate]:
    answer = plan(SIMULATED, load_model(model), PlanRequest(engine=engine, **request))
    return answer, answer.recommended or answer.candidates[0]


def test_a_large_model_is_scaled_down_on_a_simulated_cluster() -> None:
    answer, candidate = planned("llama-3.1-70b", tp=4, pp=1)
    spec = spec_from(answer, candidate, simulated=True)
    assert spec.label == "TP=4, DP=2" and len(spec.ranks) == 8
    assert spec.device == "cpu" and spec.dtype == "fp32" and spec.simulated
    assert spec.model.path is None and spec.model.scale and "of the parameters" in spec.model.scale
    assert spec.model.config["hidden_size"] < 8192
    assert spec.predicted_tokens_per_s is not None
    value, low, high = spec.predicted_tokens_per_s
    assert low <= value <= high
    assert {rank.gpu_uuid for rank in spec.ranks} == {
        gpu.uuid for node in SIMULATED.nodes for gpu in node.gpus
    }
    assert all(rank.planned_bytes == candidate.memory_by_stage[0].total_bytes for rank in spec.ranks)


def test_on_real_gpus_the_model_keeps_its_shapes_and_the_cache_fits_the_plan() -> None:
    answer, candidate = planned("llama-3.1-8b", tp=1)
    spec = spec_from(answer, candidate)
    assert spec.device == "cuda" and spec.dtype == "bf16" and spec.model.scale is None
    assert spec.model.config["hidden_size"] == 4096
    assert candidate.kv_cache_tokens is not None and candidate.memory_per_gpu is not None
    assert spec.max_num_seqs * spec.max_model_len <= candidate.kv_cache_tokens
    held = spec.ranks[0].planned_bytes
    assert held is not None
    assert candidate.memory_per_gpu.fixed_bytes < held <= candidate.memory_per_gpu.total_bytes


def test_on_real_gpus_an_order_is_held_against_the_engine_that_runs_it() -> None:
    """A plan for another engine gives layout and GPUs; the memory expected is the built-in engine's."""
    answer, candidate = planned("llama-3.1-8b", engine="vllm", tp=2, pp=1, dp=2)
    spec = spec_from(answer, candidate)
    own_answer, own_candidate = planned(
        "llama-3.1-8b", tp=2, pp=1, dp=2, max_model_len=spec.max_model_len, max_num_seqs=spec.max_num_seqs
    )
    own = spec_from(own_answer, own_candidate)
    assert [rank.planned_bytes for rank in spec.ranks] == [rank.planned_bytes for rank in own.ranks]
    assert spec.predicted_tokens_per_s == own.predicted_tokens_per_s
    assert [rank.gpu_uuid for rank in spec.ranks] == [place.gpu_uuid for place in candidate.placement]


def test_stages_hold_the_layers_that_were_planned() -> None:
    answer, candidate = planned("llama-3.1-8b", tp=1, pp=3, dp=1)
    spec = spec_from(answer, candidate)
    planned_layers = [(stage.first, stage.end) for stage in candidate.stages]
    assert [rank.layers for rank in spec.ranks] == planned_layers
    assert planned_layers[0][0] == 0 and planned_layers[-1][1] == 32
    # A scaled stand-in has fewer layers, which are split evenly.
    assert {rank.layers for rank in spec_from(answer, candidate, simulated=True).ranks} == {None}


def test_a_small_checkpoint_runs_whole_on_a_simulated_cluster(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY_LLAMA))
    answer, candidate = planned(str(tmp_path), tp=2)
    without_weights = spec_from(answer, candidate, model_path=str(tmp_path), simulated=True)
    assert without_weights.model.path is None
    (tmp_path / "model.safetensors").write_bytes(b"")
    spec = spec_from(answer, candidate, model_path=str(tmp_path), simulated=True)
    assert spec.model.path == str(tmp_path) and spec.model.scale == FULL_SIZE
    assert spec.model.config == TINY_LLAMA


def test_a_layout_that_does_not_hold_cannot_be_ordered() -> None:
    answer, candidate = planned("llama-3.1-405b", tp=1, pp=1)
    assert not candidate.feasible
    with pytest.raises(DeployFailed, match="does not hold") as refused:
        spec_from(answer, candidate, simulated=True)
    assert refused.value.hint


def test_a_model_that_the_engine_does_not_run_is_refused_on_real_gpus() -> None:
    """On a simulated cluster a stand-in runs and says so; on real GPUs that would be a lie."""
    answer, _ = planned("Qwen/Qwen3-30B-A3B", engine="vllm", ep=1)
    candidate = next(item for item in answer.candidates if is_runnable(item, simulated=False))
    with pytest.raises(BadInput):
        spec_from(answer, candidate)
    scaled = spec_from(answer, candidate, simulated=True)
    assert scaled.model.scale is not None and "stand-in" in scaled.model.scale


def test_expert_parallel_layouts_run_only_as_stand_ins() -> None:
    answer, _ = planned("Qwen/Qwen3-30B-A3B", engine="vllm", tp=2, ep=2)
    candidate = next(item for item in answer.candidates if is_runnable(item, simulated=True))
    assert candidate.layout.ep == 2
    with pytest.raises(BadInput, match="no expert parallelism"):
        spec_from(answer, candidate)
    assert spec_from(answer, candidate, simulated=True).tp == 2


@pytest.mark.parametrize(
    ("model", "taken", "name"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", (), "llama-3.1-8b-instruct"),
        ("meta-llama/Llama-3.1-8B-Instruct", ("llama-3.1-8b-instruct",), "llama-3.1-8b-instruct-2"),
        ("/models/My Model/", (), "my-model"),
        ("./tiny/config.json", (), "tiny"),
        ("///", (), "model"),
        ("x" * 99, (), "x" * 40),
    ],
)
def test_names_are_short_and_free(model: str, taken: tuple[str, ...], name: str) -> None:
    assert free_name(model, taken) == name


def real(model: str, **request: Any) -> ModelSource:
    """Return what an order on one real GPU would load of `model`."""
    answer = plan(CLUSTER, load_model(model), PlanRequest(engine="builtin", tp=1, pp=1, dp=1, **request))
    assert answer.recommended is not None
    return spec_from(answer, answer.recommended, model_path=path_named(model)).model


def test_on_real_gpus_a_name_means_the_checkpoint_in_the_nodes_hub_caches() -> None:
    source = real("llama-3.1-8b")
    assert (source.weights, source.hub_id, source.path) == ("checkpoint", "meta-llama/Llama-3.1-8B", None)
    made_up = real("llama-3.1-8b", load_format="dummy")
    assert (made_up.weights, made_up.hub_id, made_up.path) == ("dummy", None, None)


def test_on_real_gpus_a_folder_is_loaded_whether_or_not_this_machine_has_its_weights(tmp_path: Path) -> None:
    """The nodes are asked: what counts is what lies under this path there."""
    (tmp_path / "config.json").write_text(json.dumps(TINY_LLAMA))
    for named in (str(tmp_path), str(tmp_path / "config.json")):
        source = real(named)
        assert (source.weights, source.path, source.config) == ("checkpoint", str(tmp_path), TINY_LLAMA)


def test_a_config_without_weights_needs_dummy_ones(tmp_path: Path) -> None:
    lone = tmp_path / "lone.json"
    lone.write_text(json.dumps(TINY_LLAMA))
    with pytest.raises(BadInput, match=r"lone\.json describes a model and holds no weights") as refused:
        real(str(lone))
    assert "--load-format dummy" in refused.value.hint
    assert real(str(lone), load_format="dummy").config == TINY_LLAMA


def test_weights_that_are_quantised_on_paper_do_not_run_unquantised() -> None:
    answer = plan(CLUSTER, load_model("llama-3.1-8b-awq"), PlanRequest(tp=1, pp=1, dp=1))
    assert answer.recommended is not None
    with pytest.raises(BadInput, match="planned with awq weights"):
        spec_from(answer, answer.recommended)


def test_a_simulated_cluster_has_no_weights_to_load_but_small_ones(tmp_path: Path) -> None:
    answer, candidate = planned("llama-3.1-8b", tp=1, load_format="safetensors")
    with pytest.raises(BadInput, match="scaled stand-in"):
        spec_from(answer, candidate, simulated=True)
    (tmp_path / "config.json").write_text(json.dumps(TINY_LLAMA))
    answer, candidate = planned(str(tmp_path), tp=2, load_format="dummy")
    (tmp_path / "model.safetensors").write_bytes(b"")
    spec = spec_from(answer, candidate, model_path=str(tmp_path), simulated=True)
    assert spec.model.weights == "dummy" and spec.model.path is None

"""From a plan to an order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.order import OrderTerms, make_order
from cluster.deploy.order.make import free_name
from cluster.deploy.spec import FULL_SIZE, DeploymentSpec, ModelSource
from cluster.errors import BadInput, DeployFailed
from cluster.inventory import Cluster
from cluster.planner.plan import plan
from cluster.planner.request import EngineName, PlanRequest
from cluster.planner.result import Candidate, Plan
from tests.cluster.catalog.test_folder import LLAMA, folder, whole, write_header
from tests.ray.support import TINY_LLAMA

ONE_GPU = parse_cluster_spec("1x2xA100-80GB", "spec")
REAL = parse_cluster_spec("2x4xA100-80GB", "spec")
SIMULATED = parse_cluster_spec("2x4xA100-80GB", "simulated")
SMALL = {**LLAMA, "architectures": ["LlamaForCausalLM"]}
"""Its checkpoint is small enough to run as it is on a simulated cluster."""


def planned(
    model: str, engine: EngineName = "builtin", cluster: Cluster = SIMULATED, **request: Any
) -> tuple[Plan, Candidate]:
    answer = plan(cluster, load_model(model), PlanRequest(engine=engine, **request))
    return answer, answer.recommended or answer.candidates[0]


def ordered(answer: Plan, candidate: Candidate, **terms: Any) -> DeploymentSpec:
    return make_order(answer, candidate, OrderTerms(**{"created_at_s": 1.0, **terms}))


def test_the_same_plan_and_terms_give_the_same_order() -> None:
    answer, candidate = planned("llama-3.1-8b", tp=2)
    spec = ordered(answer, candidate, name="mine", router_port=8000, allowed_hosts=("llm.example",))
    assert spec == ordered(answer, candidate, name="mine", router_port=8000, allowed_hosts=("llm.example",))
    assert (spec.name, spec.router_port, spec.allowed_hosts) == ("mine", 8000, ("llm.example",))
    assert spec.created_at_s == 1.0


def test_a_name_that_is_taken_is_refused() -> None:
    answer, candidate = planned("llama-3.1-8b", tp=2)
    with pytest.raises(BadInput, match="a deployment named mine already exists"):
        ordered(answer, candidate, name="mine", taken_names=("mine",))
    assert ordered(answer, candidate, taken_names=("llama-3.1-8b",)).name == "llama-3.1-8b-2"


def test_a_large_model_is_scaled_down_on_a_simulated_cluster() -> None:
    answer, candidate = planned("llama-3.1-70b", tp=4, pp=1)
    spec = ordered(answer, candidate)
    assert spec.label == "TP=4, DP=2" and spec.layout == candidate.layout and len(spec.ranks) == 8
    assert spec.device == "cpu" and spec.dtype == "fp32" and spec.simulated
    assert spec.model.path is None and spec.model.scale and "of the parameters" in spec.model.scale
    assert spec.model.config["hidden_size"] < 8192
    assert candidate.estimate is not None
    assert spec.predicted_tokens_per_s == candidate.estimate.throughput_tokens_per_s
    assert {rank.gpu_uuid for rank in spec.ranks} == {
        gpu.uuid for node in SIMULATED.nodes for gpu in node.gpus
    }
    assert all(rank.planned_bytes == candidate.memory_by_stage[0].total_bytes for rank in spec.ranks)


def test_on_real_gpus_the_model_keeps_its_shapes_and_the_cache_fits_the_plan() -> None:
    answer, candidate = planned("llama-3.1-8b", cluster=REAL, tp=1)
    spec = ordered(answer, candidate)
    assert spec.device == "cuda" and spec.dtype == "bf16" and spec.model.scale is None
    assert spec.model.config["hidden_size"] == 4096
    assert candidate.kv_cache_tokens is not None and candidate.memory_per_gpu is not None
    assert spec.max_num_seqs * spec.max_model_len <= candidate.kv_cache_tokens
    held = spec.ranks[0].planned_bytes
    assert held is not None
    assert candidate.memory_per_gpu.fixed_bytes < held <= candidate.memory_per_gpu.total_bytes


def test_an_order_holds_what_the_plan_predicts_with_the_cache_that_is_taken() -> None:
    answer, candidate = planned("llama-3.1-8b", cluster=REAL, tp=2, pp=1, concurrency=8)
    spec = ordered(answer, candidate)
    memory, predicted = candidate.memory_per_gpu, spec.predicted
    assert memory is not None and candidate.estimate is not None
    assert predicted.kv_cache_tokens == spec.max_num_seqs * spec.max_model_len
    assert predicted.max_concurrency == spec.max_num_seqs
    assert (
        predicted.weights_bytes == memory.weights_bytes
        and predicted.non_torch_bytes == memory.non_torch_bytes
    )
    assert predicted.total_bytes == memory.fixed_bytes + (predicted.kv_cache_bytes or 0)
    assert predicted.total_bytes == spec.ranks[0].planned_bytes
    assert predicted.ttft_s == candidate.estimate.ttft_s and predicted.tpot_s == candidate.estimate.tpot_s
    assert predicted.throughput_tokens_per_s == spec.predicted_tokens_per_s
    assert (predicted.input_tokens, predicted.output_tokens, predicted.concurrency) == (1024, 512, 8)


def test_on_a_simulated_cluster_the_prediction_is_for_the_model_at_full_scale() -> None:
    answer, candidate = planned("llama-3.1-70b", "vllm", tp=4, pp=1)
    predicted, memory = ordered(answer, candidate).predicted, candidate.memory_per_gpu
    assert memory is not None and predicted.total_bytes == memory.total_bytes
    assert predicted.kv_cache_tokens == candidate.kv_cache_tokens
    assert candidate.estimate is not None
    assert predicted.concurrency == candidate.estimate.batch * candidate.layout.num_replicas


def test_stages_hold_the_layers_that_were_planned() -> None:
    answer, candidate = planned("llama-3.1-8b", cluster=REAL, tp=1, pp=3, dp=1)
    spec = ordered(answer, candidate)
    planned_layers = [(stage.first, stage.end) for stage in candidate.stages]
    assert [rank.layers for rank in spec.ranks] == planned_layers
    assert planned_layers[0][0] == 0 and planned_layers[-1][1] == 32
    # A scaled stand-in has fewer layers, which are split evenly.
    stand_in = ordered(*planned("llama-3.1-8b", tp=1, pp=3, dp=1))
    assert {rank.layers for rank in stand_in.ranks} == {None}


def test_a_small_checkpoint_runs_whole_on_a_simulated_cluster(tmp_path: Path) -> None:
    folder(tmp_path, SMALL)
    assert ordered(*planned(str(tmp_path), tp=2)).model.path is None
    write_header(tmp_path / "model.safetensors", whole())
    for named in (tmp_path, tmp_path / "config.json"):
        spec = ordered(*planned(str(named), tp=2))
        assert spec.model.path == str(tmp_path) and spec.model.scale == FULL_SIZE
        assert spec.model.config == SMALL


def test_a_layout_that_is_not_feasible_cannot_be_ordered() -> None:
    answer, candidate = planned("llama-3.1-405b", tp=1, pp=1)
    assert not candidate.feasible
    with pytest.raises(DeployFailed, match="is not feasible") as refused:
        ordered(answer, candidate)
    assert refused.value.hint


def test_a_stand_in_runs_layouts_that_the_builtin_engine_does_not() -> None:
    """On a simulated cluster it says that it is one; on real GPUs that would be a lie."""
    answer, candidate = planned("Qwen/Qwen3-30B-A3B", "vllm", tp=2, ep=2)
    stand_in = ordered(answer, candidate)
    assert stand_in.layout == candidate.layout and stand_in.layout.ep == 2 and stand_in.server is None
    assert stand_in.model.scale is not None and "stand-in" in stand_in.model.scale


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


def write_config(path: Path, **changes: Any) -> dict[str, Any]:
    config = {**TINY_LLAMA, **changes}
    path.write_text(json.dumps(config))
    return config


def real(model: str, **request: Any) -> ModelSource:
    """Return what an order on one real GPU would load of `model`."""
    answer, candidate = planned(model, cluster=ONE_GPU, tp=1, pp=1, dp=1, **request)
    assert candidate.feasible
    return ordered(answer, candidate).model


def test_on_real_gpus_a_name_means_the_checkpoint_in_the_nodes_hub_caches() -> None:
    source = real("llama-3.1-8b")
    assert (source.weights, source.hub_id, source.path) == ("checkpoint", "meta-llama/Llama-3.1-8B", None)
    made_up = real("llama-3.1-8b", load_format="dummy")
    assert (made_up.weights, made_up.hub_id, made_up.path) == ("dummy", None, None)


def test_on_real_gpus_a_folder_is_loaded_whether_or_not_this_machine_has_its_weights(tmp_path: Path) -> None:
    """The nodes are asked: what counts is what lies under this path there."""
    write_config(tmp_path / "config.json")
    for named in (str(tmp_path), str(tmp_path / "config.json")):
        source = real(named)
        assert (source.weights, source.path, source.config) == ("checkpoint", str(tmp_path), TINY_LLAMA)


def test_a_config_without_weights_needs_dummy_ones(tmp_path: Path) -> None:
    lone = tmp_path / "lone.json"
    write_config(lone)
    with pytest.raises(BadInput, match=r"lone\.json has a config but no weights") as refused:
        real(str(lone))
    assert "--load-format dummy" in refused.value.hint
    assert real(str(lone), load_format="dummy").config == TINY_LLAMA


@pytest.mark.parametrize("cluster", [REAL, SIMULATED], ids=["real", "simulated"])
def test_a_file_named_like_a_catalog_model_deploys_its_own_layers(tmp_path: Path, cluster: Cluster) -> None:
    """The plan carries the config that was planned; its name is not looked up again."""
    namesake = tmp_path / "Llama-3.1-8B-Instruct.json"
    config = write_config(namesake, num_hidden_layers=3)
    answer, candidate = planned(str(namesake), cluster=cluster, load_format="dummy", tp=1, pp=1, dp=1)
    assert answer.model.name == "Llama-3.1-8B-Instruct" and answer.model.num_layers == 3
    source = ordered(answer, candidate).model
    assert source.config["num_hidden_layers"] == 3
    if cluster is REAL:
        assert source.config == config


def test_an_order_is_made_of_what_was_loaded_even_when_the_file_is_gone(tmp_path: Path) -> None:
    lone = tmp_path / "lone.json"
    write_config(lone)
    answer, candidate = planned(str(lone), tp=1, pp=1, dp=1)
    lone.unlink()
    assert ordered(answer, candidate).model.config["num_hidden_layers"] == 2


def test_a_model_that_was_never_loaded_cannot_be_ordered() -> None:
    answer, candidate = planned("llama-3.1-8b", tp=1)
    unread = replace(answer, model=replace(answer.model, origin=None))
    with pytest.raises(BadInput, match="has no known source"):
        ordered(unread, candidate)


def test_a_simulated_cluster_has_no_weights_to_load_but_small_ones(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="scaled-down stand-in"):
        ordered(*planned("llama-3.1-8b", tp=1, load_format="safetensors"))
    write_header(folder(tmp_path, SMALL) / "model.safetensors", whole())
    spec = ordered(*planned(str(tmp_path), tp=2, load_format="dummy"))
    assert spec.model.weights == "dummy" and spec.model.path is None

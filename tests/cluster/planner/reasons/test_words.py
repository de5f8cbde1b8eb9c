"""What the planner says of its choices is true of the layouts that it lists."""

from __future__ import annotations

import re

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster
from cluster.planner.reasons.describe import describe_placement
from cluster.planner.result import Candidate, Plan
from cluster.planner.rule import Rule
from cluster.planner.search.ranking import SAME, broken_conventions, smallest_span
from cluster.planner.search.stage_split import own_split
from cluster.planner.to_json import plan_to_json
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, best, with_gpu

LATENT = "deepseek-ai/DeepSeek-V3"
SPARSE = "Qwen/Qwen3-235B-A22B"


def slices(count: int = 3) -> Cluster:
    """One node whose GPUs are slices of 20 GiB."""
    cluster = parse_cluster_spec(f"{count}xA100-80GB")
    for index in range(count):
        changes = {"mig_parent_uuid": "GPU-parent", "memory_total_bytes": 20 * GIB, "nvlink_island": None}
        cluster = with_gpu(cluster, 0, index, memory_free_bytes=20 * GIB, **changes)
    return cluster


def told(answer: Plan) -> str:
    """All that the decision tree says."""
    return " ".join(f"{step.question} {step.answer} {step.because}" for step in answer.decision)


def columns(answer: Plan) -> dict[str, dict[str, str]]:
    return {column.strategy: dict(column.rows) for column in answer.comparison}


def rate(candidate: Candidate) -> float:
    assert candidate.estimate is not None
    return candidate.estimate.throughput_tokens_per_s.value


@pytest.mark.parametrize("axes", [{}, {"tp": 2}, {"pp": 2}, {"tp": 2, "pp": 1}])
def test_slices_cannot_join_a_group_and_the_refusal_says_so(axes: dict[str, int]) -> None:
    answer = ask(LLAMA_8B, slices(), **axes)
    joined = [one for one in answer.candidates if one.layout.gpus_per_replica in (2, 3) and one.rejections]
    rules = {
        rejection.rule
        for one in joined
        for rejection in one.rejections
        if "does not divide" not in rejection.message and "divid" not in rejection.rule
    }
    assert joined and rules == {Rule.CROSSES_ISLAND}
    messages = " ".join(rejection.message for one in joined for rejection in one.rejections)
    assert "MIG slices cannot be grouped" in messages and "across nodes" not in messages


def test_too_few_groups_of_one_type_are_not_called_a_mix() -> None:
    answer = ask(LLAMA_70B, "2x3xA100-80GB", pp=3)
    rejection = next(one for one in answer.candidates if one.label == "TP=2, PP=3").rejections[0]
    assert rejection.rule == Rule.CROSSES_NODE
    assert "3 groups of 2 GPUs in one node" in rejection.message and "form 2" in rejection.message


@pytest.mark.parametrize(("spec", "replicas"), [("8xH200", 1), ("2x8xH200", 2), ("18x4xGB200", 9)])
def test_a_replica_is_one_full_copy_of_the_weights_everywhere(spec: str, replicas: int) -> None:
    answer = ask(LATENT, spec)
    choice = best(answer)
    layout = choice.layout
    assert layout.dp_attention and layout.num_replicas == replicas
    assert {rank.replica for rank in choice.placement} == set(range(replicas))
    lines = list(describe_placement(choice))
    assert len(lines) == min(8, replicas) + (replicas > 8)
    assert lines[0].startswith("replica 0: ") and "attention ranks that share one set of experts" in lines[0]
    assert replicas <= 8 or lines[-1] == f"and {replicas - 8} more replica"
    step = next(step for step in answer.decision if step.question == "How many replicas?")
    assert step.answer == str(replicas)
    places = plan_to_json(answer)["recommended"]["placement"]
    first = [place for place in places if place["replica"] == 0]
    assert [place["rank"] for place in first] == list(range(layout.gpus_per_replica))
    assert {place["attention_rank"] for place in first} == set(range(layout.attention_ranks))


def test_attention_ranks_of_two_gpus_follow_each_other() -> None:
    choice = best(ask(LATENT, "8xH200", tp=2, ep=8))
    assert choice.layout.attention_ranks == 4
    assert [rank.gpu_index // 2 for rank in choice.placement] == [rank.rank // 2 for rank in choice.placement]


def test_a_layout_without_tensor_parallelism_is_not_explained_with_it() -> None:
    answer = ask(LATENT, "8xH200")
    assert best(answer).layout.tp == 1
    assert "Expert Parallel, EP=8 splits the experts over 8 attention ranks" in told(answer)
    assert "TP within" not in told(answer) and "Tensor Parallel" not in told(answer)
    rows = columns(answer)["EP x DP attention"]
    assert rows["Communication"].startswith("all-to-all in every MoE layer")
    assert "1/8 of the experts" in rows["Model per GPU"]
    assert columns(answer)["Tensor parallel"]["Latency"] != "does not run"


@pytest.mark.parametrize(
    ("model", "spec"),
    [
        ("openai/gpt-oss-120b", "8xH100"),
        (SPARSE, "8xH200"),
        (LATENT, "8xH200"),
        (LATENT, "2x8xH100"),
        ("nvidia/Qwen3-235B-A22B-NVFP4", "8xA100-80GB"),
        (LLAMA_405B, "3x8xH100"),
        (LLAMA_8B, "4xT4"),
    ],
)
def test_the_next_is_the_highest_of_the_others(model: str, spec: str) -> None:
    answer = ask(model, spec)
    choice = best(answer)
    others = [one for one in answer.candidates[1:] if one.estimate]
    highest = max(others, key=rate)
    assert highest.label in choice.why
    gain = re.search(r"(\d+)% more tokens/s than the next", choice.why)
    if gain:
        assert int(gain[1]) == round(100 * (rate(choice) / rate(highest) - 1))
    if rate(highest) * (1 - SAME) > rate(choice):
        assert "chosen for" in choice.why and "simpler" not in choice.why


@pytest.mark.parametrize("spec", ["2x8xH100", "4x8xH100"])
def test_what_is_estimated_higher_is_passed_over_for_a_rule_not_for_what_the_estimate_holds(
    spec: str,
) -> None:
    answer = ask(LATENT, spec)
    needed = smallest_span(answer.candidates)
    choice = best(answer)
    above = [one for one in answer.candidates if one.estimate and rate(one) * (1 - SAME) > rate(choice)]
    assert above
    for one in above:
        assert broken_conventions(one, needed) and "preferred only with over" in one.why
        assert "to keep busy" not in one.why


@pytest.mark.parametrize(
    ("model", "spec", "pins"),
    [
        (LATENT, "2x8xH100", {"tp": 2, "pp": 6}),
        (LLAMA_405B, "2x8xH100", {"tp": 2, "pp": 7}),
        (LLAMA_405B, "3x8xH100", {"tp": 4, "pp": 5}),
    ],
)
def test_one_replica_shares_its_nodes_with_nobody(model: str, spec: str, pins: dict[str, int]) -> None:
    for candidate in ask(model, spec, **pins).candidates:
        assert "share nodes" not in candidate.why
        if candidate.feasible:
            assert not candidate.span.shares_nodes


def test_two_replicas_on_a_common_node_are_told_of() -> None:
    candidate = ask(LLAMA_405B, "3x8xH100", tp=4, pp=3, max_model_len=16_384).candidates[0]
    assert candidate.layout.num_replicas == 2
    nodes = [{rank.node for rank in candidate.placement if rank.replica == number} for number in (0, 1)]
    assert nodes[0] & nodes[1]
    assert candidate.span.shares_nodes


def test_a_group_over_an_nvlink_domain_is_not_said_to_lie_within_a_node() -> None:
    answer = ask(LLAMA_405B, "4x4xGB200", objective="latency")
    assert best(answer).label == "TP=16"
    assert "TP=16 in one NVLink domain of 4 nodes" in told(answer) and "within each node" not in told(answer)


@pytest.mark.parametrize(("model", "spec"), [(LLAMA_8B, "4xT4"), (LLAMA_70B, "8xL40S")])
def test_the_tensor_column_runs_where_tensor_parallelism_does(model: str, spec: str) -> None:
    answer = ask(model, spec)
    assert any(one.feasible and one.layout.gpus_per_replica == one.layout.tp > 1 for one in answer.candidates)
    assert "does not run" not in columns(answer)["Tensor parallel"].values()


def test_a_model_that_fits_is_not_said_not_to_for_a_length_beyond_it() -> None:
    answer = ask(LLAMA_8B, "1xH100", max_model_len=200_000)
    assert answer.recommended is None
    assert [(step.question, step.answer) for step in answer.decision] == [
        ("Does the model support sequences of 200,000 tokens?", "NO"),
        ("Does the model fit on 1 GPU?", "YES"),
    ]
    assert "here it does" in columns(answer)["Data parallel"]["Best for"]


def test_a_limit_that_holds_the_batch_down_is_the_reason() -> None:
    answer = ask(LLAMA_8B, "8xH100", tpot_s=0.005)
    why = next(one.why for one in answer.candidates if one.label == "TP=2, DP=4")
    assert "batch capped at" in why and "by the 5 ms TPOT limit" in why and "KV cache" not in why


def test_the_refusal_that_lacks_least_comes_first() -> None:
    refused = ask(LLAMA_405B, "8xH100").candidates
    memories = {one.label: one.memory_per_gpu for one in refused}
    short = {name: m.weights_bytes - m.budget_bytes for name, m in memories.items() if m is not None}
    assert short["TP=8"] < short["PP=8"]
    order = [one.label for one in refused]
    assert order.index("TP=8") < order.index("PP=8") and refused[0].label in ("TP=8", "TP=4, PP=2")


@pytest.mark.parametrize(
    ("model", "spec", "engine", "label"),
    [
        ("deepseek-ai/DeepSeek-R1", "4x8xH100", "sglang", "TP=8, PP=2, DP=2"),
        (LATENT, "2x8xH100", "vllm", "TP=8, PP=2"),
        (LLAMA_405B, "4x8xH100", "vllm", "TP=8, PP=2, DP=2"),
        (LLAMA_405B, "3x8xH100", "vllm", "TP=8, PP=3"),
        (LLAMA_70B, "4x2xL40S", "vllm", "TP=2, PP=4"),
    ],
)
def test_a_model_of_several_nodes_gets_tp_in_the_node_and_pp_over_them(
    model: str, spec: str, engine: str, label: str
) -> None:
    assert best(ask(model, spec, engine=engine)).label == label


@pytest.mark.parametrize(
    ("engine", "layers", "stages", "expected"),
    [
        ("vllm", 61, 2, (31, 30)),
        ("vllm", 42, 4, (10, 11, 11, 10)),
        ("vllm", 10, 4, (2, 3, 3, 2)),
        ("sglang", 61, 4, (15, 15, 15, 16)),
        ("sglang", 64, 4, (16, 16, 16, 16)),
    ],
)
def test_what_engines_do_by_themselves(
    engine: str, layers: int, stages: int, expected: tuple[int, ...]
) -> None:
    assert own_split(load_engine(engine).parallelism.layer_split, layers, stages) == expected


def test_uneven_stages_tell_how_to_get_them() -> None:
    mixed = "1xA100-80GB,1xA100-40GB"
    choice = best(ask("Qwen/Qwen2.5-32B-Instruct", mixed, pp=2))
    layers = ",".join(str(stage.num_layers) for stage in choice.stages)
    assert any(f"VLLM_PP_LAYER_PARTITION={layers} " in note for note in choice.notes)
    other = best(ask("Qwen/Qwen2.5-32B-Instruct", mixed, pp=2, engine="sglang"))
    assert any("SGLANG_PP_LAYER_PARTITION=" in note for note in other.notes)
    built_in = best(ask("Qwen/Qwen2.5-32B-Instruct", mixed, pp=2, engine="builtin"))
    assert not any("PARTITION" in note for note in built_in.notes)


def test_even_stages_need_no_setting() -> None:
    choice = best(ask(LLAMA_405B, "2x8xH100"))
    assert {stage.num_layers for stage in choice.stages} == {63}
    assert not any("PARTITION" in note for note in choice.notes)


def test_a_split_that_was_asked_for_is_said_to_be() -> None:
    answer = ask(LLAMA_8B, "8xH100", pp=2)
    assert "Still split, because PP=2 is pinned" in told(answer)
    assert "because TP=2, PP=2 are pinned" in told(ask(LLAMA_8B, "8xH100", tp=2, pp=2))


def test_a_limit_inside_the_band_is_not_promised() -> None:
    choice = best(ask(LLAMA_8B, "8xH100", tpot_s=0.02))
    assert choice.estimate is not None and choice.estimate.tpot_s.high > 0.02
    assert any(
        "predicted TPOT is within the 20 ms limit, but its error band" in note for note in choice.notes
    )
    assert not any("band" in note for note in best(ask(LLAMA_8B, "8xH100", tpot_s=10.0)).notes)

"""Training is planned for what it holds and sends, which inference does not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cluster.catalog.engine_catalog import engine_names, load_engine
from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, MeasuredLink
from cluster.planner.fixes.fix import Fix
from cluster.planner.layout import Layout
from cluster.planner.memory.training_memory import Sharding
from cluster.planner.placement.form import Form
from cluster.planner.placement.replicas import form_replicas
from cluster.planner.placement.survey import survey_cluster
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context
from cluster.planner.traffic import Lengths
from cluster.planner.training.choice import take
from cluster.planner.training.step import Step, make_step
from tests.cluster.planner.ask import GIB, LLAMA_7B, LLAMA_8B, LLAMA_70B, ask, best, with_gpu
from tests.cluster.planner.fixes.follow import assert_fixes_hold, follow

LLAMA_70B_AWQ = "hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4"
OPT_30B = "facebook/opt-30b"
ROUGHLY = 0.02


def train(model: str, cluster: str | Cluster, **request: Any) -> Plan:
    return ask(model, cluster, workload="training", **request)


def rows_of(answer: Plan) -> dict[str, str]:
    return dict(answer.comparison[0].rows)


def step_of(cluster: str | Cluster, form: Form, replicas: int, sharding: Sharding = "ddp") -> Step:
    """The step of so many replicas of an 8B model on a cluster of one machine shape."""
    given = parse_cluster_spec(cluster) if isinstance(cluster, str) else cluster
    survey, request = survey_cluster(given), PlanRequest(workload="training")
    context = Context(given, survey, load_model(LLAMA_8B), load_engine("vllm"), request, Lengths(1024, 512))
    return make_step(context, form, take(form_replicas(survey, form), replicas), sharding)


def test_the_contrast_with_inference_is_told() -> None:
    answer = train(LLAMA_7B, "8xH200")
    training, inference = answer.comparison
    assert (training.strategy, inference.strategy) == ("Training DP", "Inference DP")
    rows = dict(training.rows)
    assert "all-reduce 12.6 GiB of gradients" in rows["Communication"]
    assert rows["Each GPU"].startswith("full model copy: 12.6 GiB")
    assert dict(inference.rows)["Communication"].startswith("NONE")
    assert rows["Data"] == "split across GPUs"


def test_state_is_divided_no_further_than_it_must_be() -> None:
    small = best(ask(LLAMA_7B, "8xH200", workload="training"))
    assert small.label == "DP=8" and small.notes[0].startswith("DDP")
    tight = best(ask(LLAMA_7B, "8xA100-40GB", workload="training"))
    assert tight.label == "DP=8" and tight.notes[0].startswith("ZeRO-")


def test_the_parts_of_a_training_rank_sum_to_its_total() -> None:
    for candidate in ask(LLAMA_8B, "2x4xA100-80GB", workload="training").candidates:
        memory = candidate.memory_per_gpu
        if memory is None:
            continue
        parts = memory.weights_bytes + memory.gradient_bytes + memory.optimizer_bytes
        parts += memory.activation_bytes + memory.non_torch_bytes
        assert parts == memory.total_bytes
        assert candidate.feasible == (memory.total_bytes <= memory.budget_bytes)


def test_what_does_not_fit_says_how_many_gpus_would() -> None:
    answer = ask(LLAMA_70B, "8xH100", workload="training")
    assert answer.recommended is None
    assert answer.decision[0].answer == "NO"
    assert any("of these GPUs are needed" in line for line in answer.advice)


def test_a_busy_gpu_does_not_spoil_the_others() -> None:
    cluster = with_gpu(parse_cluster_spec("8xH200"), 0, 5, memory_free_bytes=4 * GIB)
    choice = best(ask(LLAMA_7B, cluster, workload="training"))
    assert choice.label == "DP=7"
    assert 5 not in {rank.gpu_index for rank in choice.placement}


def test_a_quantized_model_is_trained_as_its_parameters_in_sixteen_bits() -> None:
    packed, plain = train(LLAMA_70B_AWQ, "4x8xH100"), train(LLAMA_70B, "4x8xH100")
    assert best(packed).memory_per_gpu == best(plain).memory_per_gpu
    assert [one.layout for one in packed.candidates] == [one.layout for one in plain.candidates]
    assert "awq weights cannot be trained: planned with 16-bit parameters" in best(packed).notes
    assert packed.decision[0].because.startswith("awq weights cannot be trained")
    assert "parameters 131.4 GiB" in packed.decision[0].because
    assert not any("cannot be trained" in note for note in best(plain).notes)
    assert train(LLAMA_70B_AWQ, "8xH100").recommended is None


def test_rules_of_inference_engines_do_not_hold_for_training() -> None:
    answers = [train(LLAMA_70B_AWQ, "4x8xH100", engine=name) for name in engine_names()]
    assert len({answer.candidates for answer in answers}) == 1
    rules = {one.rule for candidate in answers[0].candidates for one in candidate.rejections}
    assert rules == {Rule.HEADS_NOT_DIVISIBLE, Rule.INTERMEDIATE_NOT_DIVISIBLE, Rule.CROSSES_NODE}


@pytest.mark.parametrize(
    ("cluster", "pins"),
    [
        ("2x8xH100", {"tp": 6, "dp": 2}),
        ("8xH100", {"tp": 3, "dp": 2}),
        ("3x8xH100", {"tp": 2, "dp": 2, "pp": 1}),
        ("8xH200", {"tp": 2, "dp": 8}),
    ],
)
def test_fixes_keep_the_replicas_that_were_asked_for(cluster: str, pins: dict[str, int]) -> None:
    answer = train(OPT_30B, cluster, **pins)
    refused = answer.candidates[0]
    assert not refused.feasible
    assert "in all" not in refused.rejections[0].message and assert_fixes_hold(answer)
    for rejection in refused.rejections:
        for fix in rejection.fixes:
            held = best(follow(answer, refused.layout, fix))
            assert held.layout.dp == (fix.layout or refused.layout).dp, fix


def test_more_replicas_fit_where_fewer_do_not() -> None:
    refused = train(OPT_30B, "2x8xH100", tp=2, pp=1, dp=2).candidates[0]
    assert refused.rejections[0].fixes[0] == Fix(layout=Layout(tp=2, dp=8))
    alone = train(LLAMA_70B, "8xH100", dp=8)
    assert alone.recommended is None
    assert not any("in all" in line for line in alone.advice)


def test_zero3_gathers_parameters_and_takes_half_as_long_again() -> None:
    answer = train(LLAMA_70B, "4x8xH100")
    choice, rows = best(answer), rows_of(answer)
    assert choice.notes[0].startswith("ZeRO-3 (FSDP)")
    assert "131.4 GiB of parameters all-gathered twice" in choice.why
    assert "all-reduced" not in choice.why
    asked = next(step for step in answer.decision if "exchange" in step.question)
    assert (asked.answer, asked.because) == ("gradients and parameters", choice.why)
    assert rows["Communication"].startswith("all-gather 131.4 GiB of parameters twice and reduce-scatter")
    assert rows["Each GPU"].startswith("ZeRO-3 (FSDP): parameters 4.1 GiB + gradients 4.1 GiB")
    assert "plain DP needs 1,05" in rows["Each GPU"]


def test_a_step_takes_as_long_as_what_it_sends() -> None:
    shardings: tuple[Sharding, ...] = ("ddp", "zero1", "zero2", "zero3")
    steps = {one: step_of("8xH200", Form.plain(1, 1), 8, one) for one in shardings}
    plain = steps["ddp"]
    for sharding, step in steps.items():
        factor = 1.5 if sharding == "zero3" else 1.0
        assert step.sent_bytes == pytest.approx(factor * plain.sent_bytes)
        assert step.exchange_time_s == pytest.approx(factor * plain.exchange_time_s)


def test_zero1_is_not_called_an_all_reduce() -> None:
    answer = train(LLAMA_8B, "8xA100-80GB")
    assert best(answer).notes[0].startswith("ZeRO-1")
    assert "gradients reduce-scattered and 15.0 GiB of parameters all-gathered" in best(answer).why
    assert rows_of(answer)["Communication"].startswith("reduce-scatter 15.0 GiB of gradients and all-gather")


def test_rings_of_a_node_share_its_network() -> None:
    alone, pair = (step_of("3x8xH100", Form.plain(tp, 1), 24 // tp) for tp in (1, 2))
    # Half the bytes a ring, and two rings: a node sends as much either way.
    assert pair.exchange_time_s == pytest.approx(alone.exchange_time_s, rel=0.1)
    assert pair.gradient_bytes == pytest.approx(alone.gradient_bytes / 2, rel=ROUGHLY)


def test_replicas_of_one_node_do_not_use_the_network() -> None:
    inside, across = (step_of("2x8xH100", Form.plain(1, 1), count) for count in (8, 9))
    assert across.exchange_time_s > 10 * inside.exchange_time_s


def test_links_that_were_measured_set_the_time() -> None:
    spec = parse_cluster_spec("2x8xH100")
    slow = MeasuredLink(scope="cross_node", num_ranks=16, latency_s=1e-3, bandwidth_bytes_per_s=2e9)
    measured = spec.model_copy(update={"measured_links": (slow,)})
    step = step_of(measured, Form.plain(2, 1), 8)
    rate = 2e9 / 2
    assert step.exchange_time_s == pytest.approx(step.sent_bytes / rate, rel=ROUGHLY)


def test_logits_count_in_a_plan() -> None:
    memory = best(train(LLAMA_8B, "8xH200", input_tokens=8192)).memory_per_gpu
    assert memory is not None and memory.activation_bytes > 8192 * 128_256 * 10


def test_the_number_of_gpus_that_would_fit_is_the_least() -> None:
    needed = re.search(
        r"about (\d+) of these GPUs are needed", train(LLAMA_70B, "8xH100", tp=1, pp=1).advice[0]
    )
    assert needed is not None
    ranks = int(needed[1])
    assert best(train(LLAMA_70B, f"{ranks}x1xH100", tp=1, pp=1)).layout.dp == ranks
    assert train(LLAMA_70B, f"{ranks - 1}x1xH100", tp=1, pp=1).recommended is None


def test_expert_parallelism_is_not_passed_over_in_silence() -> None:
    notes = best(train("openai/gpt-oss-20b", "8xH200", ep=8)).notes
    assert "EP is not planned for training: experts are split over TP" in notes
    assert not any("EP" in note for note in best(train("openai/gpt-oss-20b", "8xH200")).notes)


def test_float32_training_is_answered_with_mixed_precision_and_a_word() -> None:
    answer = ask("Qwen/Qwen3-8B", "8xA100-80GB", workload="training", dtype="fp32")
    assert any(
        "mixed precision with 16-bit parameters, not in float32" in note for note in best(answer).notes
    )

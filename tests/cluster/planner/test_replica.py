"""What was asked for stays as it was; what an engine is started with is settled once for a replica."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.gpus import find_gpu
from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import MeasuredRate
from cluster.planner.cost.rates import rates_of
from cluster.planner.launch import launch_on
from cluster.planner.plan import plan
from cluster.planner.reasons.describe import describe_traffic
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, ask, best, with_gpu

EXPERTS = "Qwen/Qwen3-30B-A3B"


@pytest.mark.parametrize(
    "options", [{"input_tokens": 10**7}, {"concurrency": 3}, {"workload": "training"}, {"tp": 2}]
)
def test_a_request_comes_back_as_it_was_asked(options: dict[str, object]) -> None:
    request = PlanRequest(**options)  # type: ignore[arg-type]
    # A partly used GPU lowers the memory fraction that the engine is started with.
    cluster = with_gpu(parse_cluster_spec("2xH100,1xL40S"), 0, 0, memory_free_bytes=60 * GIB)
    assert plan(cluster, load_model(LLAMA_8B), request).request == request


def test_a_start_says_whether_anybody_set_its_fraction() -> None:
    model, engine = load_model(LLAMA_8B), load_engine("vllm")
    launch = launch_on(model, engine, PlanRequest(), 80 * GIB)
    assert launch.utilization_is_default
    assert launch.gpu_memory_utilization == engine.budget.default_utilization
    assert not launch_on(
        model, engine, PlanRequest(gpu_memory_utilization=0.5), 80 * GIB
    ).utilization_is_default
    lowered = launch.at_utilization(0.4)
    assert (lowered.gpu_memory_utilization, lowered.utilization_is_default) == (0.4, False)


def test_one_engine_over_two_gpu_types_starts_with_one_set_of_defaults() -> None:
    """vLLM sets aside more for its largest batch on an H100 than on an L40S; a pipeline over both has one."""

    def overheads(spec: str) -> set[int]:
        answer = ask(LLAMA_70B, spec, tp=1, pp=4, dp=1, max_model_len=4096)
        return {memory.activation_bytes for memory in best(answer).memory_by_stage}

    mixed = overheads("1x2xH100,1x2xL40S")
    assert mixed == overheads("1x4xL40S") != overheads("1x4xH100")


def notes_of(**options: object) -> tuple[Candidate, list[str]]:
    answer = ask(EXPERTS, "8xH100", engine="tensorrt-llm", tp=8, **options)
    return best(answer), [note for note in best(answer).notes if "data-parallel attention" in note]


def test_a_time_for_another_layout_than_the_label_says_is_noted() -> None:
    candidate, notes = notes_of()
    assert candidate.estimate is not None and candidate.estimate.runs_as is not None
    assert candidate.estimate.runs_as.label == "DP=8, EP=8, DP-attention"
    assert notes == [
        "timed with data-parallel attention, as tensorrt-llm recommends for MoE models: "
        "each replica runs its TP=8 as DP=8, EP=8, DP-attention"
    ]
    # The figures beside it are those of what was timed: no all-reduces, but an all-to-all.
    assert candidate.estimate.all_reduces_per_token == 0
    assert describe_traffic(candidate.layout, candidate.estimate).startswith("the all-to-all between expert")
    alone, none = notes_of(concurrency=1)
    assert alone.estimate is not None and alone.estimate.runs_as is None
    assert none == []


def test_rates_that_nobody_measured_keep_their_proportion_to_those_that_were() -> None:
    gpu, engine = find_gpu("H100"), load_engine("vllm")
    usual = rates_of(gpu, engine)
    halved = MeasuredRate(
        gpu_type="H100",
        memory_bytes_per_s=usual.weights_bytes_per_s / usual.engine.bandwidth_factor / 2,
        flops_per_s={
            dtype: rate / usual.engine.flops_factor / 2 for dtype, rate in usual.flops_per_s.items()
        },
    )
    slow = rates_of(replace(gpu, measured=halved), engine)
    assert slow.weights_bytes_per_s == pytest.approx(usual.weights_bytes_per_s / 2)
    assert slow.cache_bytes_per_s == pytest.approx(usual.cache_bytes_per_s / 2)
    assert slow.expert_flops_per_s["bf16"] == pytest.approx(usual.expert_flops_per_s["bf16"] / 2)
    assert slow.attention_flops_per_s == pytest.approx(usual.attention_flops_per_s / 2)
    # The datasheet's figures stay what they are.
    assert replace(gpu, measured=halved).memory_bandwidth_bytes_per_s == gpu.memory_bandwidth_bytes_per_s

"""Degrees beyond the GPUs are refused at once, with the count of GPUs there are and a fix."""

from __future__ import annotations

import pytest

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.planner.fixes.fix import Fix
from cluster.planner.layout import Layout
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan
from cluster.planner.rule import Rule

HUGE = 10**9
DEEPSEEK, LLAMA = "deepseek-ai/DeepSeek-V3", "meta-llama/Llama-3.1-8B-Instruct"


def planned(model: str, **options: object) -> Plan:
    return plan(parse_cluster_spec("2x8xH100"), load_model(model), PlanRequest(**options))  # type: ignore[arg-type]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("model", [DEEPSEEK, LLAMA, "Qwen/Qwen3-235B-A22B"])
@pytest.mark.parametrize("workload", ["inference", "training"])
@pytest.mark.parametrize(
    "options",
    [
        {"tp": HUGE},
        {"pp": HUGE},
        {"ep": HUGE},
        {"decode_context_parallel": HUGE},
        {"tp": HUGE, "pp": HUGE, "dp": HUGE, "ep": HUGE},
        {"tp": 17},
        {"tp": 8, "pp": 3},
    ],
    ids=str,
)
def test_more_than_there_are_is_one_reason_with_the_count(
    model: str, workload: str, options: dict[str, int]
) -> None:
    answer = planned(model, workload=workload, **options)
    assert answer.recommended is None and len(answer.candidates) == 1
    (rejection,) = answer.candidates[0].rejections
    assert rejection.rule == Rule.NOT_ENOUGH_GPUS
    assert rejection.message.endswith("GPUs, 16 available")
    assert rejection.fixes or (workload == "training" and model != LLAMA)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("model", [DEEPSEEK, LLAMA])
@pytest.mark.parametrize("dp", [17, HUGE])
def test_more_replicas_than_fit_are_counted(model: str, dp: int) -> None:
    answer = planned(model, dp=dp)
    assert answer.recommended is None and answer.candidates


@pytest.mark.parametrize("options", [{"tp": 16}, {"tp": 8, "pp": 2}], ids=str)
def test_as_many_as_there_are_is_tried(options: dict[str, int]) -> None:
    rules = {rejection.rule for one in planned(LLAMA, **options).candidates for rejection in one.rejections}
    assert Rule.NOT_ENOUGH_GPUS not in rules


def test_the_fix_holds() -> None:
    (rejection,) = planned(LLAMA, tp=HUGE).candidates[0].rejections
    assert rejection.fixes[0] == Fix(layout=Layout(tp=8)) and planned(LLAMA, tp=8).recommended is not None

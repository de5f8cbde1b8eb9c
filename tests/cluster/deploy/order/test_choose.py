"""What the built-in engine can run of a plan, said before anything is ordered."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.deploy.order import choose_candidate, why_not_runnable
from cluster.errors import DeployFailed
from tests.cluster.deploy.order.test_make import REAL, SIMULATED, ordered, planned

MIXTURE = "Qwen/Qwen3-30B-A3B"


def reason(model: str, **request: Any) -> str:
    answer, candidate = planned(model, "vllm", REAL, **request)
    assert candidate.feasible
    error = why_not_runnable(answer, candidate)
    return "" if error is None else error.message


def test_a_layout_that_can_be_deployed_has_nothing_against_it() -> None:
    assert reason("llama-3.1-8b", tp=2) == ""


@pytest.mark.parametrize(
    ("model", "request_", "words"),
    [
        (MIXTURE, {"tp": 2, "ep": 2}, "does not support expert parallelism"),
        (MIXTURE, {"tp": 2, "ep": 1}, "Qwen3MoeForCausalLM"),
        ("llama-3.1-8b-awq", {"tp": 1}, "planned with awq weights"),
        ("llama-3.1-8b", {"kv_cache_dtype": "fp8"}, "does not support --kv-cache-dtype fp8"),
        ("llama-3.1-8b", {"engine_asked": True}, "only the built-in engine can be deployed, not vllm"),
    ],
)
def test_what_was_planned_for_another_engine_and_cannot_run_says_why(
    model: str, request_: dict[str, Any], words: str
) -> None:
    assert words in reason(model, **request_)


def test_the_reason_is_the_one_that_the_order_would_fail_with() -> None:
    answer, candidate = planned(MIXTURE, "vllm", REAL, tp=2, ep=2)
    error = why_not_runnable(answer, candidate)
    assert error is not None
    with pytest.raises(type(error), match="expert parallelism"):
        ordered(answer, candidate)


def test_on_a_simulated_cluster_a_stand_in_runs_for_any_model() -> None:
    answer, candidate = planned(MIXTURE, "vllm", SIMULATED, tp=2, ep=2)
    assert why_not_runnable(answer, candidate) is None


def test_the_best_layout_that_can_be_started_is_chosen() -> None:
    answer, _ = planned(MIXTURE, "vllm", REAL)
    chosen = choose_candidate(answer)
    assert chosen.feasible and chosen.layout.ep == 1
    assert all(item.layout.ep > 1 for item in answer.candidates[: answer.candidates.index(chosen)])


def test_where_no_layout_fits_the_line_says_what_would() -> None:
    answer, _ = planned("llama-3.1-405b", "vllm", REAL, tp=1, pp=1)
    with pytest.raises(DeployFailed, match="no layout fits") as refused:
        choose_candidate(answer)
    assert refused.value.hint

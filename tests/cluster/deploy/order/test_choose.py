"""Which layout of a plan is deployed, and why another cannot be, said before anything is ordered."""

from __future__ import annotations

from typing import Any

import pytest

from cluster.deploy.order import choose_candidate, why_not_runnable
from cluster.errors import BadInput, DeployFailed
from tests.cluster.deploy.order.engines_on import with_engines
from tests.cluster.deploy.order.test_make import REAL, SIMULATED, ordered, planned

MIXTURE = "Qwen/Qwen3-30B-A3B"


def reason(model: str, engine: str = "builtin", **request: Any) -> str:
    answer, candidate = planned(model, engine, REAL, **request)
    assert candidate.feasible
    error = why_not_runnable(answer, candidate)
    return "" if error is None else error.message


def test_a_layout_that_can_be_deployed_has_nothing_against_it() -> None:
    assert reason("llama-3.1-8b", tp=2) == reason("llama-3.1-8b", "vllm", tp=2) == ""


@pytest.mark.parametrize(
    ("engine", "request_", "told"),
    [
        ("builtin", {"kv_cache_dtype": "bf16", "dtype": "fp16"}, "does not support --kv-cache-dtype bf16"),
        ("tensorrt-llm", {}, "tensorrt-llm can be planned for but not deployed"),
        ("vllm", {"engine_version": "0.8.5", "tp": 4, "pp": 2}, "0.8.5 has no --nnodes"),
    ],
)
def test_what_cannot_be_deployed_says_why(engine: str, request_: dict[str, Any], told: str) -> None:
    assert told in reason("llama-3.1-8b", engine, **request_)


def test_the_reason_is_the_one_that_the_order_fails_with() -> None:
    cluster = with_engines(REAL, {})
    answer, candidate = planned("llama-3.1-8b", "vllm", cluster)
    error = why_not_runnable(answer, candidate)
    assert error is not None
    with pytest.raises(BadInput) as refused:
        ordered(answer, candidate)
    assert (refused.value.message, refused.value.hint) == (error.message, error.hint)


def test_a_refused_layout_gives_its_refusal() -> None:
    answer, candidate = planned(MIXTURE, "builtin", REAL)
    assert not candidate.feasible
    assert "Qwen3MoeForCausalLM" in str(why_not_runnable(answer, candidate))


def test_on_a_simulated_cluster_a_stand_in_runs_for_any_model() -> None:
    answer, candidate = planned(MIXTURE, "vllm", SIMULATED, tp=2, ep=2)
    assert why_not_runnable(answer, candidate) is None


def test_the_best_layout_that_the_engine_can_be_told_is_chosen() -> None:
    """Of a replica over both nodes this release knows nothing; one in a node it can start."""
    answer, _ = planned("llama-3.1-70b", "vllm", REAL, engine_version="0.8.5", objective="latency")
    chosen = choose_candidate(answer)
    assert why_not_runnable(answer, chosen) is None
    before = answer.candidates[: answer.candidates.index(chosen)]
    assert all(why_not_runnable(answer, one) is not None for one in before)


def test_where_no_layout_fits_the_line_says_what_would() -> None:
    answer, _ = planned("llama-3.1-405b", "vllm", REAL, tp=1, pp=1)
    with pytest.raises(DeployFailed, match="no layout fits") as refused:
        choose_candidate(answer)
    assert refused.value.hint

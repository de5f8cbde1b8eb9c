"""The source document's five examples, exactly, under the defaults."""

from __future__ import annotations

import pytest

from tests.cluster.planner.ask import LLAMA_7B, LLAMA_70B, ask, best

EXAMPLES = (
    (LLAMA_7B, "4xA100-80GB", "DP=4"),
    (LLAMA_70B, "4xA100-80GB", "TP=4"),
    (LLAMA_70B, "8xA100-80GB", "TP=4, DP=2"),
    (LLAMA_7B, "2x4xA100-80GB", "DP=8"),
    (LLAMA_70B, "2x4xA100-80GB", "TP=4, DP=2"),
)


@pytest.mark.parametrize(("model", "cluster", "label"), EXAMPLES)
def test_the_five_examples(model: str, cluster: str, label: str) -> None:
    answer = ask(model, cluster)
    assert best(answer).label == label
    assert answer.candidates[0] is answer.recommended


def test_the_tree_asks_in_the_document_s_words() -> None:
    steps = ask(LLAMA_70B, "2x4xA100-80GB").decision
    assert [(step.question, step.answer) for step in steps] == [
        ("Does the model fit on 1 GPU?", "NO"),
        ("Fits on 1 NODE (multi-GPU)?", "YES"),
        ("How many replicas?", "DP=2"),
    ]
    assert "131.4 GiB" in steps[0].because and "Tensor Parallel" in steps[0].because
    assert "TP within each node + DP across nodes" in steps[2].because


def test_a_model_that_fits_one_gpu_takes_the_other_branch() -> None:
    steps = ask(LLAMA_7B, "4xA100-80GB").decision
    assert (steps[0].answer, steps[-1].answer) == ("YES", "DP=4")
    assert "Data Parallel (replicas)" in steps[0].because and "linearly" in steps[-1].because


def test_a_model_larger_than_a_node_is_tp_in_the_node_and_pp_across() -> None:
    answer = ask("meta-llama/Llama-3.1-405B-Instruct", "5x8xH100")
    layout = best(answer).layout
    assert (layout.tp, layout.pp, layout.dp) == (8, 2, 2)
    assert [step.answer for step in answer.decision] == ["NO", "NO", "2 nodes per replica", "DP=2"]
    assert "floor(5 nodes / 2) = 2" in answer.decision[-1].because

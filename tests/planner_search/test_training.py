"""Training is planned for what it holds and sends, which inference does not."""

from __future__ import annotations

from cluster.cluster_spec import parse_cluster_spec
from tests.planner_search.ask import GIB, LLAMA_7B, LLAMA_8B, LLAMA_70B, ask, best, with_gpu


def test_the_contrast_with_inference_is_told() -> None:
    training, inference = ask(LLAMA_8B, "8xA100-80GB", workload="training").comparison
    assert (training.strategy, inference.strategy) == ("Training DP", "Inference DP")
    assert "all-reduce 15.0 GiB of gradients" in dict(training.rows)["Communication"]
    assert dict(inference.rows)["Communication"].startswith("NONE")
    assert dict(training.rows)["Data"] == "split across GPUs"


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
    assert any("such GPUs in all" in line for line in answer.advice)


def test_a_busy_gpu_does_not_spoil_the_others() -> None:
    cluster = with_gpu(parse_cluster_spec("8xH200"), 0, 5, memory_free_bytes=4 * GIB)
    choice = best(ask(LLAMA_7B, cluster, workload="training"))
    assert choice.label == "DP=7"
    assert 5 not in {rank.gpu_index for rank in choice.placement}

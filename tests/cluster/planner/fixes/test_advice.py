"""What is said when nothing fits: by how much, and what would."""

from __future__ import annotations

import re

from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import GpuProcess
from cluster.planner.rule import Rule
from tests.cluster.planner.ask import GIB, LLAMA_70B, LLAMA_405B, ask, best, with_gpu


def line(advice: tuple[str, ...], start: str) -> str:
    return next(text for text in advice if text.startswith(start))


def test_the_shortfall_is_told_in_gib() -> None:
    answer = ask(LLAMA_70B, "1xA100-80GB")
    assert answer.recommended is None
    assert re.search(r"58\.\d GiB more than the budget", answer.advice[0])


def test_what_is_said_to_fit_does_fit() -> None:
    answer = ask(LLAMA_70B, "2xA100-80GB")
    shorter = re.fullmatch(r"--max-model-len (\d+) fits as (.+)", line(answer.advice, "--max-model-len"))
    assert shorter is not None
    again = ask(LLAMA_70B, "2xA100-80GB", max_model_len=int(shorter[1]))
    assert best(again).label == shorter[2]
    more = re.fullmatch(r"(\d+) x A100-80GB in one node hold it as (.+)", line(answer.advice, "4 x"))
    assert more is not None
    assert best(ask(LLAMA_70B, f"{more[1]}xA100-80GB")).label == more[2]


def test_quantised_variants_and_more_nodes_are_offered() -> None:
    advice = ask(LLAMA_405B, "8xH100").advice
    assert line(advice, "FP8 weights (38") and line(advice, "2 nodes of 8 x H100 hold it as TP=8, PP=2")


def test_the_process_that_is_in_the_way_is_named() -> None:
    process = GpuProcess(pid=4711, name="trainer", memory_bytes=70 * GIB)
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu in range(4):
        changes = {"processes": (process,)} if gpu == 2 else {}
        cluster = with_gpu(cluster, 0, gpu, memory_free_bytes=9 * GIB, **changes)
    answer = ask(LLAMA_70B, cluster)
    freed = line(answer.advice, "stop")
    assert freed.startswith("stop pid 4711 (trainer, 70.0 GiB) on node-1 GPU 2; free ")
    assert all(f"node-1 GPU {gpu}" in freed for gpu in range(4)) and freed.endswith(": then PP=4 fits")


def test_a_pin_that_cannot_hold_names_the_free_choice() -> None:
    answer = ask(LLAMA_70B, "8xA100-80GB", tp=3)
    assert answer.recommended is None
    assert answer.candidates[0].rejections[0].rule == Rule.HEADS_NOT_DIVISIBLE
    assert "without the pinned degrees TP=4, DP=2 fits" in answer.advice
    assert answer.decision[-1].question == "Does TP=3 hold?" and answer.decision[-1].answer == "NO"


def test_an_empty_cluster_has_an_answer_too() -> None:
    cluster = parse_cluster_spec("1xL4").model_copy(update={"nodes": ()})
    answer = ask(LLAMA_70B, cluster)
    assert answer.recommended is None and answer.advice == ("the cluster has no GPU",)
    assert answer.decision[0].answer == "NO"


def test_a_length_beyond_the_model_is_refused_with_the_longest_there_is() -> None:
    answer = ask("meta-llama/Llama-2-7b-hf", "4xA100-80GB", max_model_len=32_000)
    assert answer.recommended is None
    rejection = answer.candidates[0].rejections[0]
    assert (rejection.rule, rejection.fix) == (Rule.MAX_LEN_EXCEEDS_MODEL, "--max-model-len 4096")
    first, second = answer.decision
    assert first.question == "Does the model take sequences of 32,000 tokens?"
    assert first.answer == "NO" and "made for 4,096" in first.because
    assert (second.question, second.answer) == ("Does the model fit on 1 GPU?", "YES")


def test_a_dtype_that_the_gpus_lack_is_not_blamed_on_memory() -> None:
    answer = ask("meta-llama/Llama-2-7b-hf", "4xT4", dtype="bf16")
    assert answer.candidates[0].rejections[0].rule == Rule.DTYPE_UNSUPPORTED
    assert [step.question for step in answer.decision] == ["Can vllm run this model on these GPUs?"]

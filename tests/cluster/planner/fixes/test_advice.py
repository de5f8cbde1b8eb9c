"""What is said when nothing fits: by how much, and what would."""

from __future__ import annotations

import re

from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import GpuProcess
from cluster.planner.fixes.fix import Fix, FreeMemory, LargerCluster
from cluster.planner.layout import Layout
from cluster.planner.rule import Rule
from tests.cluster.planner.ask import GIB, LLAMA_70B, LLAMA_405B, ask, best, with_gpu
from tests.cluster.planner.fixes.follow import follow, holds, weights_of


def test_the_shortfall_is_told_in_gib() -> None:
    answer = ask(LLAMA_70B, "1xA100-80GB")
    assert answer.recommended is None
    assert re.search(r"58\.\d GiB over the [0-9.]+ GiB budget", answer.advice[0])


def test_what_is_said_to_fit_does_fit() -> None:
    answer = ask(LLAMA_70B, "2xA100-80GB")
    shorter = next(fix for fix in answer.fixes if "max_model_len" in dict(fix.options))
    again = follow(answer, None, shorter)
    assert best(again).layout == shorter.layout
    assert again.request.max_model_len == dict(shorter.options)["max_model_len"]
    larger = Fix(layout=Layout(tp=4), hardware=LargerCluster(1, 4, "A100-80GB"))
    assert larger in answer.fixes and best(follow(answer, None, larger)).layout == Layout(tp=4)
    assert best(ask(LLAMA_70B, "4xA100-80GB")).layout == Layout(tp=4)


def test_quantized_weights_and_more_nodes_are_suggested() -> None:
    fixes = ask(LLAMA_405B, "8xH100").fixes
    assert weights_of(fixes) == ["FP8"]
    assert Fix(layout=Layout(tp=8, pp=2), hardware=LargerCluster(2, 8, "H100")) in fixes


def test_the_process_that_is_in_the_way_is_named() -> None:
    process = GpuProcess(pid=4711, name="trainer", memory_bytes=70 * GIB)
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu in range(4):
        changes = {"processes": (process,)} if gpu == 2 else {}
        cluster = with_gpu(cluster, 0, gpu, memory_free_bytes=9 * GIB, **changes)
    answer = ask(LLAMA_70B, cluster)
    fix = next(fix for fix in answer.fixes if isinstance(fix.hardware, FreeMemory))
    assert isinstance(fix.hardware, FreeMemory) and fix.layout is not None
    stopped = {gpu.gpu_index: [one.pid for one in gpu.processes] for gpu in fix.hardware.gpus}
    assert stopped == {0: [], 1: [], 2: [4711], 3: []}
    assert best(follow(answer, None, fix)).layout == fix.layout
    text = next(line for line in answer.advice if "stop" in line)
    assert text.startswith(
        f"{fix.layout.label} fits if you stop pid 4711 (trainer, 70.0 GiB) on node-1 GPU 2, and free "
    )
    assert all(f"node-1 GPU {gpu}" in text for gpu in range(4))


def test_gpus_that_another_job_claimed_are_named() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu in range(3):
        cluster = with_gpu(cluster, 0, gpu, claimed_by="other")
    answer = ask(LLAMA_70B, cluster)
    fix = next(fix for fix in answer.fixes if isinstance(fix.hardware, FreeMemory))
    assert isinstance(fix.hardware, FreeMemory) and fix.layout is not None
    assert {(gpu.gpu_index, gpu.claimed_by) for gpu in fix.hardware.gpus} == {(n, "other") for n in range(3)}
    assert holds(follow(answer, None, fix), fix.layout)


def test_a_pin_that_cannot_hold_names_the_free_choice() -> None:
    answer = ask(LLAMA_70B, "8xA100-80GB", tp=3)
    assert answer.recommended is None
    assert answer.candidates[0].rejections[0].rule is Rule.HEADS_NOT_DIVISIBLE
    assert answer.fixes[0] == Fix(layout=Layout(tp=4, dp=2)) and "TP=4, DP=2 fits" in answer.advice
    assert answer.decision[-1].question == "Is TP=3 feasible?" and answer.decision[-1].answer == "NO"


def test_an_empty_cluster_has_an_answer_too() -> None:
    cluster = parse_cluster_spec("1xL4").model_copy(update={"nodes": ()})
    answer = ask(LLAMA_70B, cluster)
    assert answer.recommended is None and answer.advice == ("the cluster has no GPUs",)
    assert answer.decision[0].answer == "NO"


def test_a_length_beyond_the_model_is_refused_with_the_longest_there_is() -> None:
    answer = ask("meta-llama/Llama-2-7b-hf", "4xA100-80GB", max_model_len=32_000)
    assert answer.recommended is None
    rejection = answer.candidates[0].rejections[0]
    assert (rejection.rule, rejection.fixes) == (Rule.MAX_LEN_EXCEEDS_MODEL, (Fix.of(max_model_len=4096),))
    first, second = answer.decision
    assert first.question == "Does the model support sequences of 32,000 tokens?"
    assert first.answer == "NO" and "maximum is 4,096" in first.because
    assert (second.question, second.answer) == ("Does the model fit on 1 GPU?", "YES")


def test_a_dtype_that_the_gpus_lack_is_not_blamed_on_memory() -> None:
    answer = ask("meta-llama/Llama-2-7b-hf", "4xT4", dtype="bf16")
    assert answer.candidates[0].rejections[0].rule is Rule.DTYPE_UNSUPPORTED
    assert [step.question for step in answer.decision] == ["Can vllm run this model on these GPUs?"]

"""Whatever a refusal names as a way out holds when it is asked for."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, GpuProcess
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan
from cluster.planner.rule import Rule
from cluster.planner.variants import FULL_SIZE, VARIANTS, stored_as
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, with_gpu

QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"
QWEN_FP8 = "Qwen/Qwen3-235B-A22B-FP8"
GPT_OSS = "openai/gpt-oss-120b"
SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"
DTYPES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
OPTIONS = {
    "--max-model-len": ("max_model_len", int),
    "--gpu-memory-utilization": ("gpu_memory_utilization", float),
    "--max-num-seqs": ("max_num_seqs", int),
    "--max-num-batched-tokens": ("max_num_batched_tokens", int),
    "--kv-cache-dtype": ("kv_cache_dtype", lambda name: None if name == "auto" else name),
    "--decode-context-parallel-size": ("decode_context_parallel", int),
    "--kv-cache-memory-bytes": ("kv_cache_memory_bytes", int),
    "--dtype": ("dtype", lambda flag: DTYPES[flag]),
    "--engine": ("engine", str),
    "--engine-version": ("engine_version", str),
}

NOT_A_CHANGE = re.compile(
    "more GPU|stop |free |fits? as|hold it|without the pinned|another model|instead|one replica|DP="
)
"""Ways that are no change of the layout's own degrees or options: other layouts, processes, hardware."""


def followed(answer: Plan, refused: Candidate, way: str) -> Plan | None:
    """Plan again as a way out says; None for a way that is not a change of options."""
    layout, model = refused.layout, answer.model
    now = {"tp": layout.tp, "pp": layout.pp, "ep": layout.ep if layout.ep > 1 else None}
    named = {axis.lower(): int(degree) for axis, degree in re.findall(r"\b(TP|PP|EP)=(\d+)", way)}
    pins: dict[str, Any] = {**now, **({"ep": None} if "tp" in named else {}), **named}
    asked: dict[str, Any] = {}
    if "--enforce-eager" in way:
        asked["enforce_eager"] = True
    for flag, value in re.findall(r"(--[a-z-]+) ([\w.-]+)", way):
        name, read = OPTIONS[flag]
        asked[name] = read(value)
    for variant in (FULL_SIZE, *VARIANTS):
        if f"{variant.name} variant" in way:
            model, asked["quantization"] = stored_as(model, variant), None
    if not asked and model is answer.model and pins == now:
        return None
    return plan(answer.cluster, model, replace(answer.request, **pins, **asked))


def assert_mends_hold(answer: Plan) -> int:
    """Follow every way out of every refusal; return how many were followed."""
    count, tried = 0, set()
    for refused in answer.candidates:
        for rejection in refused.rejections:
            assert rejection.message and rejection.fix
            for way in rejection.fix.split(", or "):
                if (refused.label, way) in tried or NOT_A_CHANGE.search(way):
                    continue  # seen, or not a change of this layout's own degrees or options
                tried.add((refused.label, way))
                again = followed(answer, refused, way)
                if again is not None:
                    count += 1
                    assert again.recommended is not None, (refused.label, rejection.rule, way)
    return count


def uneven_islands() -> Cluster:
    cluster = parse_cluster_spec("1x8xA100-80GB,1x2xH100")
    for gpu in range(8):
        cluster = with_gpu(cluster, 0, gpu, nvlink_island=f"nvlink-{gpu // 2}")
    return cluster


def busy() -> Cluster:
    process = GpuProcess(pid=4711, name="python", memory_bytes=30 * GIB)
    cluster = parse_cluster_spec("2x4xA100-80GB")
    for gpu in range(3):
        cluster = with_gpu(cluster, 0, gpu, memory_free_bytes=48 * GIB, processes=(process,))
    return cluster


def sliced() -> Cluster:
    cluster = parse_cluster_spec("4xA100-80GB,2xA100-80GB")
    for gpu in range(4):
        changes = {"mig_parent_uuid": "GPU-parent", "memory_total_bytes": 20 * GIB, "nvlink_island": None}
        cluster = with_gpu(cluster, 0, gpu, memory_free_bytes=20 * GIB, **changes)
    return cluster


CLUSTERS: dict[str, Cluster] = {
    **{spec: parse_cluster_spec(spec) for spec in ("2x4xA100-80GB", "8xH100", "4xT4", "4xA100-80GB,8xL40S")},
    "islands": uneven_islands(),
    "busy": busy(),
    "slices": sliced(),
}


@settings(max_examples=25, deadline=None)
@given(
    cluster=st.sampled_from(sorted(CLUSTERS)),
    model=st.sampled_from([LLAMA_8B, LLAMA_70B, LLAMA_405B, QWEN_7B, QWEN_FP8, GPT_OSS, SCOUT]),
    tp=st.sampled_from([None, 1, 2, 3, 5, 6, 7, 8, 16]),
    pp=st.sampled_from([None, None, 1, 2, 3]),
    engine=st.sampled_from(["vllm", "vllm", "sglang", "tensorrt-llm", "builtin"]),
    fraction=st.sampled_from([None, None, 0.8, 0.97]),
    length=st.sampled_from([None, None, 4096, 40_000]),
)
def test_every_named_way_out_holds(
    cluster: str,
    model: str,
    tp: int | None,
    pp: int | None,
    engine: Any,
    fraction: float | None,
    length: int | None,
) -> None:
    spec = load_model(model)
    if length is not None and length > spec.max_position:
        length = None
    request = PlanRequest(tp=tp, pp=pp, engine=engine, gpu_memory_utilization=fraction, max_model_len=length)
    assert_mends_hold(plan(CLUSTERS[cluster], spec, request))


def fixes(answer: Plan) -> dict[str, str]:
    return {one.label: one.rejections[0].fix for one in answer.candidates if one.rejections}


def test_heads_name_the_nearest_degrees_on_as_many_gpus() -> None:
    assert fixes(ask(QWEN_7B, "8xA100-80GB", tp=8))["TP=8"].startswith("TP=4, or TP=4 x PP=2")


def test_cut_blocks_name_whole_experts() -> None:
    fix = fixes(ask(QWEN_FP8, "8xH100"))["TP=8"]
    assert fix.startswith("TP=4") and "expert parallelism (TP=8, EP=8)" in fix


def test_a_pinned_uneven_split_names_the_engine_that_runs_it() -> None:
    assert "--engine builtin (splits unevenly)" in fixes(ask(LLAMA_8B, "4xA100-80GB", tp=3))["TP=3"]
    assert "--engine builtin" not in fixes(ask(GPT_OSS, "4xA100-80GB", tp=3))["TP=3"]


def test_a_length_is_the_longest_that_holds() -> None:
    answer = ask(LLAMA_70B, "2xA100-80GB", tp=2, pp=1)
    length = int(re.findall(r"--max-model-len (\d+)", fixes(answer)["TP=2"])[0])
    assert ask(LLAMA_70B, "2xA100-80GB", tp=2, pp=1, max_model_len=length).recommended is not None
    assert ask(LLAMA_70B, "2xA100-80GB", tp=2, pp=1, max_model_len=length + 1024).recommended is None


def test_a_length_that_windows_bend_is_tried_too() -> None:
    """Three of four layers keep 8,192 tokens at most: the length is no matter of proportion."""
    assert assert_mends_hold(ask(SCOUT, "4xB200", ep=2)) >= 4


def test_a_smaller_profile_is_named_where_it_makes_room() -> None:
    answer = ask(LLAMA_8B, "1xA10", engine_version="0.11.0", max_model_len=512, gpu_memory_utilization=0.72)
    fix = fixes(answer)["DP=1"]
    assert "--max-num-seqs 64" in fix and assert_mends_hold(answer) >= 2


def test_a_cache_sized_by_hand_names_what_stays_free() -> None:
    answer = ask(LLAMA_8B, "1xH100", max_model_len=8192, kv_cache_memory_bytes=80 * GIB)
    assert fixes(answer)["DP=1"].startswith("--kv-cache-memory-bytes ")
    assert assert_mends_hold(answer) >= 1


@pytest.mark.parametrize("dtype", ["bf16"])
def test_a_dtype_the_gpus_lack_names_one_they_have(dtype: str) -> None:
    answer = ask("meta-llama/Llama-2-7b-hf", "4xT4", dtype=dtype)
    assert fixes(answer)["TP=2"].startswith("--dtype float16")
    assert any(line.startswith("--dtype float16 fits as") for line in answer.advice)


def test_a_split_that_no_smaller_group_mends_names_a_wider_one() -> None:
    assert fixes(ask(LLAMA_405B, "4x8xH100"))["TP=7"] == "TP=8 x PP=2"


def test_where_no_single_change_holds_something_else_is_named() -> None:
    answer = ask(LLAMA_405B, "1xT4")
    assert fixes(answer)["DP=1"] and fixes(answer)["DP=1"] in (*answer.advice, "another model, or other GPUs")


def test_one_gpu_too_small_names_a_group_and_a_pipeline() -> None:
    assert fixes(ask(LLAMA_70B, "2x4xA100-80GB"))["DP=1"] == "TP=4, or TP=1 x PP=3"


def test_graphs_that_push_a_start_over_the_edge() -> None:
    """Before 0.21 vLLM captures its graphs beside the budget: at 0.99 of 80 GiB there is no room for them."""
    asked: dict[str, Any] = {"tp": 4, "pp": 1, "engine_version": "0.11.0", "max_model_len": 8192}
    answer = ask(LLAMA_70B, "4xA100-80GB", gpu_memory_utilization=0.99, **asked)
    assert answer.recommended is None
    (rejection,) = answer.candidates[0].rejections
    assert rejection.rule == Rule.GRAPHS_DO_NOT_FIT and "--enforce-eager" in rejection.fix
    assert assert_mends_hold(answer) >= 3
    assert ask(LLAMA_70B, "4xA100-80GB", **asked).recommended is not None


def test_partly_used_gpus_keep_room_for_graphs() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu in range(4):
        cluster = with_gpu(cluster, 0, gpu, memory_free_bytes=60 * GIB)
    chosen = ask(LLAMA_70B, cluster, tp=4, pp=1, engine_version="0.11.0", max_model_len=8192).recommended
    assert chosen is not None and chosen.memory_per_gpu is not None
    assert chosen.memory_per_gpu.cuda_graph_bytes > GIB
    assert chosen.memory_per_gpu.total_bytes <= 60 * GIB


def held(cluster: Cluster, node: int, gpu: int, pid: int, gib: int) -> Cluster:
    now = cluster.nodes[node].gpus[gpu]
    process = GpuProcess(pid=pid, name="python", memory_bytes=gib * GIB)
    free = (now.memory_free_bytes or 0) - gib * GIB
    return with_gpu(cluster, node, gpu, memory_free_bytes=free, processes=(*now.processes, process))


def without(cluster: Cluster, pids: set[int]) -> Cluster:
    """The cluster after these processes were stopped."""
    for number, node in enumerate(cluster.nodes):
        for index, gpu in enumerate(node.gpus):
            stopped = [one for one in gpu.processes if one.pid in pids]
            if stopped:
                freed = sum(one.memory_bytes or 0 for one in stopped)
                left = tuple(one for one in gpu.processes if one.pid not in pids)
                changes = {"memory_free_bytes": (gpu.memory_free_bytes or 0) + freed, "processes": left}
                cluster = with_gpu(cluster, number, index, **changes)
    return cluster


@settings(max_examples=40, deadline=None)
@given(
    used=st.lists(st.sampled_from([0, 0, 5, 20, 40, 60, 75]), min_size=4, max_size=4),
    model=st.sampled_from([LLAMA_8B, LLAMA_70B, QWEN_7B]),
    tp=st.sampled_from([None, 1, 2, 4]),
    fraction=st.sampled_from([None, None, 0.9]),
)
def test_stopping_what_is_named_makes_room(
    used: list[int], model: str, tp: int | None, fraction: float | None
) -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu, gib in enumerate(used):
        for part in range(2 if gib else 0):
            cluster = held(cluster, 0, gpu, pid=100 * gpu + part + 1, gib=gib // 2)
    answer = ask(model, cluster, tp=tp, gpu_memory_utilization=fraction)
    for refused in answer.candidates:
        for rejection in refused.rejections:
            stop = rejection.fix.split(", or ")[0]
            if rejection.rule == Rule.GPU_BUSY and stop.startswith("stop ") and "; " not in stop:
                emptier = without(cluster, {int(pid) for pid in re.findall(r"pid (\d+)", stop)})
                pins = {"tp": refused.layout.tp, "pp": refused.layout.pp}
                again = ask(model, emptier, gpu_memory_utilization=fraction, **pins)
                assert again.recommended is not None, (refused.label, rejection)


def test_every_gpu_in_the_way_is_named() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu in range(4):
        cluster = held(cluster, 0, gpu, 4700 + gpu, 60)
    fix = fixes(ask(LLAMA_70B, cluster, tp=4))["TP=4"]
    assert all(f"pid {pid} (python, 60.0 GiB) on node-1 GPU {pid - 4700}" in fix for pid in range(4700, 4704))


def test_a_process_that_holds_too_little_is_not_blamed() -> None:
    cluster = held(parse_cluster_spec("1xA100-80GB"), 0, 0, 1, 2)
    cluster = with_gpu(cluster, 0, 0, memory_free_bytes=20 * GIB)
    answer = ask(LLAMA_8B, cluster)
    assert fixes(answer)["DP=1"].startswith("free 1") and "stop" not in " ".join(answer.advice)


def test_memory_that_was_not_read_is_not_said_to_be_held() -> None:
    cluster = with_gpu(parse_cluster_spec("2xH100"), 0, 0, memory_free_bytes=None)
    answer = ask(LLAMA_70B, with_gpu(cluster, 0, 1, memory_free_bytes=None))
    assert not any(line.startswith(("free", "stop")) for line in answer.advice)
    assert "was not read" in answer.advice[0]


def test_one_length_for_one_layout() -> None:
    answer = ask(LLAMA_70B, "2xH100")
    length, label = re.findall(
        r"--max-model-len (\d+) fits as ([^,]+(?:, [^,]+)*)", " ".join(answer.advice[:2])
    )[0]
    assert f"--max-model-len {length}" in fixes(answer)[label.split(" ")[0]]


def test_a_quantised_variant_with_a_shorter_length_is_found_for_windowed_models() -> None:
    advice = ask("google/gemma-3-27b-it", "1xRTX-4090").advice
    assert any("INT4 (AWQ) weights" in line and "--max-model-len" in line for line in advice)


def test_a_copied_cache_is_divided_over_context_ranks() -> None:
    """A latent is the same on all eight ranks: divided, it holds eight times the tokens."""
    asked: dict[str, Any] = {"tp": 8, "pp": 1, "ep": 1, "max_model_len": 32_768}
    one, eight = (
        ask("deepseek-ai/DeepSeek-V3", "8xH200", decode_context_parallel=ranks, **asked).recommended
        for ranks in (1, 8)
    )
    assert one is not None and eight is not None and one.kv_cache_tokens and eight.kv_cache_tokens
    assert eight.kv_cache_tokens / one.kv_cache_tokens == pytest.approx(8, rel=0.01)
    assert any("exchange" in note for note in eight.notes)


def test_context_ranks_that_no_copies_are_there_for_are_refused() -> None:
    answer = ask(LLAMA_70B, "16xH100", tp=16, decode_context_parallel=4)
    assert fixes(answer)["TP=16"].startswith("--decode-context-parallel-size 2")
    assert assert_mends_hold(answer) >= 1
    old = ask(LLAMA_70B, "8xH100", tp=8, decode_context_parallel=2, engine="sglang")
    assert old.candidates[0].rejections[0].rule == Rule.ENGINE_UNSUPPORTED


def test_a_cache_dtype_the_gpus_lack_names_the_plain_one() -> None:
    answer = ask("Qwen/Qwen3-8B", "4xT4", kv_cache_dtype="fp8", max_model_len=4096, tp=2, pp=2)
    assert fixes(answer)["TP=2, PP=2"].startswith("--kv-cache-dtype auto")
    assert assert_mends_hold(answer) >= 1


def test_sparse_attention_needs_the_kernels_of_newer_gpus() -> None:
    answer = ask("deepseek-ai/DeepSeek-V3.2", "2x8xA100-80GB", max_model_len=8192)
    assert answer.recommended is None
    assert "compute capability 9.0" in answer.candidates[0].rejections[0].message
    assert ask("deepseek-ai/DeepSeek-V3.2", "8xH200", max_model_len=8192).recommended is not None


def test_a_quantisation_asked_for_by_name_forces_its_plain_kernel() -> None:
    asked: dict[str, Any] = {"dtype": "bf16", "engine_version": "0.10.0", "max_model_len": 8192}
    model = "Qwen/Qwen2.5-14B-Instruct-AWQ"
    named = ask(model, "1xA100-80GB", quantization="awq", **asked)
    assert named.candidates[0].rejections[0].rule == Rule.DTYPE_UNSUPPORTED
    assert ask(model, "1xA100-80GB", **asked).recommended is not None


def test_one_healthy_gpu_more_is_enough() -> None:
    cluster = with_gpu(parse_cluster_spec("4xA100-80GB"), 0, 1, unhealthy_reason="XID 79")
    advice = ask(LLAMA_70B, cluster, tp=4).advice
    assert any(line.startswith("4 x A100-80GB in one node hold it as TP=4") for line in advice)


def test_the_layout_that_holds_most_of_a_sequence_is_nearest() -> None:
    assert "DP-attention" not in ask(SCOUT, "8xH100").advice[0]


def test_context_ranks_are_not_mixed_up_in_what_is_remembered_of_a_model() -> None:
    """The same model object asked twice: the room of the one answer must not leak into the other."""
    model, cluster = load_model("deepseek-ai/DeepSeek-V3"), parse_cluster_spec("8xH200")

    def rate(ranks: int, length: int, spec: Any) -> float:
        request = PlanRequest(tp=8, pp=1, ep=1, max_model_len=length, decode_context_parallel=ranks)
        chosen = plan(cluster, spec, request).recommended
        assert chosen is not None and chosen.estimate is not None
        return chosen.estimate.throughput_tokens_per_s.value

    asked = [(1, 32_768), (8, 16_384), (1, 8_192)]
    alone = [rate(*one, load_model("deepseek-ai/DeepSeek-V3")) for one in asked]
    assert [rate(*one, model) for one in asked] == alone

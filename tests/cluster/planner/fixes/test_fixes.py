"""Every fix of a refusal holds when it is applied and planned again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.catalog.models import load_model
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, GpuProcess
from cluster.planner.fixes.fix import Fix, LargerCluster
from cluster.planner.layout import Layout
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.rule import Rule
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, LLAMA_405B, ask, with_gpu
from tests.cluster.planner.fixes.follow import assert_fixes_hold, fixes_by_label, weights_of

QWEN_7B = "Qwen/Qwen2.5-7B-Instruct"
QWEN_FP8 = "Qwen/Qwen3-235B-A22B-FP8"
GPT_OSS = "openai/gpt-oss-120b"
SCOUT = "meta-llama/Llama-4-Scout-17B-16E-Instruct"


def degrees(**axes: int) -> Fix:
    return Fix(layout=Layout(**axes))


def options(fixes: tuple[Fix, ...], name: str) -> list[Any]:
    """The values that these fixes give an option."""
    return [dict(fix.options)[name] for fix in fixes if name in dict(fix.options)]


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
def test_every_fix_holds(
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
    assert_fixes_hold(plan(CLUSTERS[cluster], spec, request))


def test_heads_name_the_nearest_degrees_on_as_many_gpus() -> None:
    found = fixes_by_label(ask(QWEN_7B, "8xA100-80GB", tp=8))["TP=8"]
    assert found[:2] == (degrees(tp=4), degrees(tp=4, pp=2))


def test_cut_blocks_name_whole_experts() -> None:
    found = fixes_by_label(ask(QWEN_FP8, "8xH100"))["TP=8"]
    assert found[0] == degrees(tp=4) and degrees(tp=8, ep=8) in found


def test_a_pinned_uneven_split_names_the_engine_that_runs_it() -> None:
    uneven = Fix.of(engine="builtin", engine_version=None)
    assert uneven in fixes_by_label(ask(LLAMA_8B, "4xA100-80GB", tp=3))["TP=3"]
    assert uneven not in fixes_by_label(ask(GPT_OSS, "4xA100-80GB", tp=3))["TP=3"]


def test_a_length_is_the_longest_that_holds() -> None:
    answer = ask(LLAMA_70B, "2xA100-80GB", tp=2, pp=1)
    (length,) = options(fixes_by_label(answer)["TP=2"], "max_model_len")
    assert ask(LLAMA_70B, "2xA100-80GB", tp=2, pp=1, max_model_len=length).recommended is not None
    assert ask(LLAMA_70B, "2xA100-80GB", tp=2, pp=1, max_model_len=length + 1024).recommended is None


def test_a_length_that_windows_bend_is_tried_too() -> None:
    """Three of four layers keep 8,192 tokens at most: the length is no matter of proportion."""
    assert assert_fixes_hold(ask(SCOUT, "4xB200", ep=2)) >= 4


def test_a_smaller_profile_is_named_where_it_makes_room() -> None:
    answer = ask(LLAMA_8B, "1xA10", engine_version="0.11.0", max_model_len=512, gpu_memory_utilization=0.72)
    assert 64 in options(fixes_by_label(answer)["DP=1"], "max_num_seqs") and assert_fixes_hold(answer) >= 2


def test_a_cache_sized_by_hand_names_what_stays_free() -> None:
    answer = ask(LLAMA_8B, "1xH100", max_model_len=8192, kv_cache_memory_bytes=80 * GIB)
    assert options(fixes_by_label(answer)["DP=1"][:1], "kv_cache_memory_bytes")
    assert assert_fixes_hold(answer) >= 1


def test_a_dtype_the_gpus_lack_names_one_they_have() -> None:
    answer = ask("meta-llama/Llama-2-7b-hf", "4xT4", dtype="bf16")
    half = Fix.of(dtype="fp16")
    assert fixes_by_label(answer)["TP=2"][0] == half
    assert half in [fix.change for fix in answer.fixes]


def test_a_split_that_no_smaller_group_fixes_names_a_wider_one() -> None:
    assert fixes_by_label(ask(LLAMA_405B, "4x8xH100"))["TP=7"] == (degrees(tp=8, pp=2),)


def test_where_no_single_change_holds_a_fix_of_the_plan_is_named() -> None:
    answer = ask(LLAMA_405B, "1xT4")
    assert fixes_by_label(answer)["DP=1"] == answer.fixes[:1]


def test_one_gpu_too_small_names_a_group_and_a_pipeline() -> None:
    assert fixes_by_label(ask(LLAMA_70B, "2x4xA100-80GB"))["DP=1"] == (degrees(tp=4), degrees(pp=3))


def test_graphs_that_push_a_start_over_the_edge() -> None:
    """Before 0.21 vLLM captures its graphs beside the budget: at 0.99 of 80 GiB there is no room for them."""
    asked: dict[str, Any] = {"tp": 4, "pp": 1, "engine_version": "0.11.0", "max_model_len": 8192}
    answer = ask(LLAMA_70B, "4xA100-80GB", gpu_memory_utilization=0.99, **asked)
    assert answer.recommended is None
    (rejection,) = answer.candidates[0].rejections
    assert rejection.rule is Rule.GRAPHS_DO_NOT_FIT and Fix.of(enforce_eager=True) in rejection.fixes
    assert assert_fixes_hold(answer) >= 3
    assert ask(LLAMA_70B, "4xA100-80GB", **asked).recommended is not None


def test_partly_used_gpus_keep_room_for_graphs() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for gpu in range(4):
        cluster = with_gpu(cluster, 0, gpu, memory_free_bytes=60 * GIB)
    chosen = ask(LLAMA_70B, cluster, tp=4, pp=1, engine_version="0.11.0", max_model_len=8192).recommended
    assert chosen is not None and chosen.memory_per_gpu is not None
    assert chosen.memory_per_gpu.cuda_graph_bytes > GIB
    assert chosen.memory_per_gpu.total_bytes <= 60 * GIB


def test_one_length_for_one_layout() -> None:
    answer = ask(LLAMA_70B, "2xH100")
    shorter = next(fix for fix in answer.fixes if "max_model_len" in dict(fix.options))
    assert shorter.layout is not None
    assert shorter.change in fixes_by_label(answer)[shorter.layout.label]


def test_a_quantized_variant_with_a_shorter_length_is_found_for_windowed_models() -> None:
    fixes = ask("google/gemma-3-27b-it", "1xRTX-4090").fixes
    assert any(options((fix,), "max_model_len") and weights_of((fix,)) == ["INT4 (AWQ)"] for fix in fixes)


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
    assert fixes_by_label(answer)["TP=16"][0] == Fix.of(decode_context_parallel=2)
    assert assert_fixes_hold(answer) >= 1
    old = ask(LLAMA_70B, "8xH100", tp=8, decode_context_parallel=2, engine="sglang")
    assert old.candidates[0].rejections[0].rule is Rule.ENGINE_UNSUPPORTED


def test_a_cache_dtype_the_gpus_lack_names_the_plain_one() -> None:
    answer = ask("Qwen/Qwen3-8B", "4xT4", kv_cache_dtype="fp8", max_model_len=4096, tp=2, pp=2)
    assert fixes_by_label(answer)["TP=2, PP=2"][0] == Fix.of(kv_cache_dtype=None)
    assert assert_fixes_hold(answer) >= 1


def test_sparse_attention_needs_the_kernels_of_newer_gpus() -> None:
    answer = ask("deepseek-ai/DeepSeek-V3.2", "2x8xA100-80GB", max_model_len=8192)
    assert answer.recommended is None
    assert "compute capability 9.0" in answer.candidates[0].rejections[0].message
    assert ask("deepseek-ai/DeepSeek-V3.2", "8xH200", max_model_len=8192).recommended is not None


def test_a_quantization_asked_for_by_name_forces_its_plain_kernel() -> None:
    asked: dict[str, Any] = {"dtype": "bf16", "engine_version": "0.10.0", "max_model_len": 8192}
    model = "Qwen/Qwen2.5-14B-Instruct-AWQ"
    named = ask(model, "1xA100-80GB", quantization="awq", **asked)
    assert named.candidates[0].rejections[0].rule is Rule.DTYPE_UNSUPPORTED
    assert ask(model, "1xA100-80GB", **asked).recommended is not None


def test_one_healthy_gpu_more_is_enough() -> None:
    cluster = with_gpu(parse_cluster_spec("4xA100-80GB"), 0, 1, unhealthy_reason="XID 79")
    larger = Fix(layout=Layout(tp=4), hardware=LargerCluster(1, 4, "A100-80GB"))
    assert larger in ask(LLAMA_70B, cluster, tp=4).fixes


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

"""Refusals: the rule and the figures."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.gpus import find_gpu
from cluster.catalog.model_spec import ModelSpec, Quantization
from cluster.planner.launch import launch_on
from cluster.planner.layout import Layout
from cluster.planner.memory import replica_memory, with_ranks
from cluster.planner.memory.kv_cache import sequences_held
from cluster.planner.replica import RankGpu
from cluster.planner.request import PlanRequest
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule
from cluster.planner.rules import gpu_busy_rejection, layout_rejections, memory_notes, memory_rejections
from cluster.units import GIB
from tests.cluster.planner.memory.specs import (
    AWQ,
    FP8_BLOCK,
    attention,
    dense_layer,
    expert_layer,
    llama_8b,
    model,
    replica_of,
)

VLLM = load_engine("vllm", "0.24.0")
BUILTIN = load_engine("builtin")
A100, T4, H100 = find_gpu("A100-80GB"), find_gpu("T4"), find_gpu("H100")
QWEN_7B = model((dense_layer(3584, attention(28, 4, 128), 18944),) * 28, 3584, 152064)


def refused(spec: ModelSpec, layout: Layout, engine=VLLM, gpu=A100, **asked) -> tuple[Rejection, ...]:  # type: ignore[no-untyped-def]
    return layout_rejections(spec, layout, gpu, engine, PlanRequest(**asked))


def rules(*args, **kwargs) -> list[str]:  # type: ignore[no-untyped-def]
    return [rejection.rule for rejection in refused(*args, **kwargs)]


def test_heads_are_told_with_their_number() -> None:
    (first, *_) = refused(QWEN_7B, Layout(tp=8))
    assert first.rule == Rule.HEADS_NOT_DIVISIBLE
    assert first.message == "TP=8 does not divide 28 attention heads"


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_a_layout_that_divides_is_not_refused(tp: int) -> None:
    assert refused(QWEN_7B, Layout(tp=tp, pp=2)) == ()


def test_kv_heads_may_be_copied_but_not_cut() -> None:
    spec = model((dense_layer(3072, attention(24, 6, 128), 12288),) * 4, 3072, 12 * 64 * 80)
    assert rules(spec, Layout(tp=6)) == []
    assert rules(spec, Layout(tp=4)) == [Rule.KV_HEADS_NOT_DIVISIBLE]
    assert rules(spec, Layout(tp=12)) == []


def test_the_built_in_engine_splits_heads_unevenly() -> None:
    llama = llama_8b()
    assert Rule.HEADS_NOT_DIVISIBLE in rules(llama, Layout(tp=3))
    assert refused(llama, Layout(tp=3), BUILTIN) == ()
    assert rules(llama, Layout(tp=33), BUILTIN) == [Rule.HEADS_NOT_DIVISIBLE]


def test_scale_groups_must_not_be_cut() -> None:
    """29568 = 231 x 128: no TP at all (the padded release has 29696 = 232 x 128)."""
    quantization = Quantization("awq", AWQ)
    cut = model(
        (dense_layer(8192, attention(64, 8, 128), 29568, AWQ),) * 2, 8192, 152064, quantization=quantization
    )
    (only,) = refused(cut, Layout(tp=2))
    assert only.rule == Rule.QUANT_GROUP_NOT_DIVISIBLE
    assert "14,784" in only.message
    whole_groups = replace(cut, layers=(dense_layer(8192, attention(64, 8, 128), 29696, AWQ),) * 2)
    assert [rules(whole_groups, Layout(tp=tp)) for tp in (2, 4, 8)] == [[], [], []]


def test_blocks_of_experts_must_not_be_cut_unless_experts_stay_whole() -> None:
    """Qwen3-235B-A22B-FP8: 1536/8 = 192 is no multiple of 128; TP=4 and expert parallelism run."""
    layer = expert_layer(4096, attention(64, 4, 128), 1536, 128, FP8_BLOCK)
    spec = model((layer,) * 4, 4096, 151936, quantization=Quantization("fp8", FP8_BLOCK, "fp8"))
    (only,) = refused(spec, Layout(tp=8), gpu=H100)
    assert only.rule == Rule.QUANT_BLOCK_NOT_DIVISIBLE
    assert rules(spec, Layout(tp=4), gpu=H100) == []
    assert rules(spec, Layout(tp=8, ep=8), gpu=H100) == []
    assert rules(spec, Layout(tp=4)) == []  # Ampere runs FP8 weight-only


def test_experts_are_divided_evenly_over_ranks() -> None:
    spec = model((expert_layer(2048, attention(16, 4, 128), 512, 60),) * 4, 2048, 32000)
    assert rules(spec, Layout(tp=8, ep=8)) == [Rule.EXPERTS_NOT_DIVISIBLE]


def test_the_padded_vocabulary_must_divide() -> None:
    spec = model((dense_layer(5120, attention(40, 40, 128), 17920),) * 2, 5120, 151936)
    assert rules(spec, Layout(tp=5)) == [Rule.VOCAB_NOT_DIVISIBLE]


def test_axes_that_do_not_exist() -> None:
    old = load_engine("vllm", "0.4.0")
    llama = llama_8b()
    assert rules(llama, Layout(pp=2), old) == [Rule.PP_UNSUPPORTED]
    assert rules(replace(llama, supports_pp=False), Layout(pp=2)) == [Rule.PP_UNSUPPORTED]
    assert rules(llama, Layout(pp=64)) == [Rule.TOO_FEW_LAYERS]
    assert rules(llama, Layout(tp=2, ep=2)) == [Rule.ENGINE_UNSUPPORTED]


def test_what_the_gpu_must_be_able_to_do() -> None:
    llama = llama_8b()
    (dtype,) = refused(llama, Layout(), gpu=T4, dtype="bfloat16")
    assert dtype.rule == Rule.DTYPE_UNSUPPORTED and "T4 has 7.5" in dtype.message
    assert rules(llama, Layout(), gpu=T4) == []  # falls back to float16 by itself
    assert rules(llama, Layout(), load_engine("vllm", "0.2.6"), T4) == [Rule.DTYPE_UNSUPPORTED]
    unknown = replace(llama, quantization=Quantization("quip", AWQ))
    assert rules(unknown, Layout()) == [Rule.QUANTIZATION_UNSUPPORTED]


def memory_of(spec: ModelSpec, gib: int, engine=VLLM, **asked) -> tuple[Rejection, ...]:  # type: ignore[no-untyped-def]
    gpu = RankGpu(gib * GIB, gib * GIB)
    return memory_rejections(replica_memory(replica_of(spec, engine, gpu=gpu, **asked)))


def test_weights_that_do_not_fit_say_by_how_much() -> None:
    (only,) = memory_of(llama_8b(), 12)
    assert only.rule == Rule.WEIGHTS_DO_NOT_FIT
    assert "15.0 GiB per GPU, 4." in only.message


def test_no_room_for_a_cache() -> None:
    (only,) = memory_of(llama_8b(), 17)
    assert only.rule == Rule.NO_KV_MEMORY


def test_a_length_that_does_not_fit_says_by_how_much() -> None:
    """131,072 tokens x 128 KiB are 16.0 GiB; 24 GiB less weights and overheads leave less than that."""
    (only,) = memory_of(llama_8b(), 24)
    assert only.rule == Rule.MAX_LEN_EXCEEDS_KV
    needed, available = (float(figure) for figure in re.findall(r"([0-9.]+) GiB", only.message))
    assert needed == pytest.approx(16.0, abs=0.11) and 0 < available < 24 - 15


def test_a_busy_gpu_is_told_before_the_start() -> None:
    launch = launch_on(llama_8b(), VLLM, PlanRequest(), 80 * GIB)
    found = gpu_busy_rejection(VLLM, launch, RankGpu(80 * GIB, 60 * GIB), "node-2 GPU 3")
    assert found is not None and found.rule == Rule.GPU_BUSY
    assert "node-2 GPU 3 has 60.0 GiB free" in found.message
    assert gpu_busy_rejection(VLLM, launch, RankGpu(80 * GIB, 80 * GIB - 600_000_000)) is None
    assert gpu_busy_rejection(BUILTIN, launch, RankGpu(80 * GIB, 1 * GIB)) is None


def test_a_cache_short_by_less_than_the_prediction_errs_is_not_refused() -> None:
    spec = llama_8b()
    replica = replica_of(spec, VLLM, gpu=RankGpu(80 * GIB, 80 * GIB, H100))
    roomy = replica_memory(replica)
    (part,) = roomy.ranks
    overheads = part.fixed_bytes - part.weights_bytes
    needed = spec.max_position * 131_072
    for short, refused_rules in ((0.05 * overheads, []), (0.2 * overheads, [Rule.MAX_LEN_EXCEEDS_KV])):
        room = int(needed - short)
        tight = replace(part, kv_cache_bytes=room, total_bytes=part.fixed_bytes + room)
        held = with_ranks(replica, [tight])
        assert [rejection.rule for rejection in memory_rejections(held)] == refused_rules
        (note,) = memory_notes(held)
        safe = int(re.findall(r"--max-model-len (\d+) is safe", note)[0])
        assert sequences_held(held.at_length(safe)) >= 1 > sequences_held(held.at_length(safe + 16))
    assert memory_notes(roomy) == ()


def test_the_built_in_engine_names_what_it_does_not_run() -> None:
    other = replace(llama_8b(), architecture="DeepseekV3ForCausalLM")
    (only,) = refused(other, Layout(), BUILTIN)
    assert only.rule == Rule.ENGINE_UNSUPPORTED and "DeepseekV3ForCausalLM" in only.message


def test_kernels_of_early_versions_step_through_128_inputs() -> None:
    """DeepSeek-V2-Lite AWQ on vLLM 0.6.3, one GPU: 10944 is not divisible by min_thread_k = 128."""
    grouped = replace(AWQ, group_size=64)
    spec = model(
        (dense_layer(2048, attention(16, 16, 128), 10944, grouped),) * 2,
        2048,
        102400,
        quantization=Quantization("awq", grouped),
    )
    assert rules(spec, Layout(), load_engine("vllm", "0.6.3")) == [Rule.QUANT_GROUP_NOT_DIVISIBLE]
    assert rules(spec, Layout()) == []


def one_rank(kv_cache_memory_bytes: int) -> tuple[int, tuple[Rejection, ...]]:
    """Cache bytes, and refusals, of an 8B on one H100 whose cache was sized by hand."""
    gpu = RankGpu(H100.memory_bytes, H100.memory_bytes, H100)
    options = {"max_model_len": 8192, "kv_cache_memory_bytes": kv_cache_memory_bytes}
    memory = replica_memory(replica_of(llama_8b(), VLLM, gpu=gpu, **options))
    return memory.ranks[0].kv_cache_bytes, memory_rejections(memory)


def test_a_cache_sized_by_hand_is_that_size_or_refused() -> None:
    assert one_rank(8 * GIB) == (8 * GIB, ())
    _, [refusal] = one_rank(80 * GIB)
    assert refusal.rule == Rule.NO_KV_MEMORY


def test_models_that_overflow_in_fp16_are_refused_in_it() -> None:
    overflows = replace(llama_8b(), architecture="Gemma3ForConditionalGeneration")
    [refusal] = refused(overflows, Layout(), dtype="fp16")
    assert refusal.rule == Rule.DTYPE_UNSUPPORTED and "in float16" in refusal.message
    assert refused(overflows, Layout(), dtype="bf16") == ()
    assert refused(replace(overflows, architecture="LlamaForCausalLM"), Layout(), dtype="fp16") == ()

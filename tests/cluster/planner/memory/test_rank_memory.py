"""A rank's memory: what engines logged, sums, budgets, and the speed a search needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.gpus import find_gpu
from cluster.planner.launch import launch_on
from cluster.planner.layout import Layout
from cluster.planner.memory import kv_cache_tokens, rank_memory, with_ranks
from cluster.planner.replica import RankGpu, Replica
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory
from cluster.units import GIB
from tests.cluster.planner.memory.specs import (
    attention,
    dense_layer,
    expert_layer,
    halves,
    llama_8b,
    model,
    replica_of,
)

H100, A100 = find_gpu("H100"), find_gpu("A100-80GB")
SPEC = llama_8b()


ON_H100, ON_A100 = RankGpu(80 * GIB, 80 * GIB, H100), RankGpu(80 * GIB, 80 * GIB, A100)


def memory_of(replica: Replica) -> RankMemory:
    """Memory of the rank of a replica of one stage."""
    (rank,) = replica.ranks
    return rank_memory(replica, rank)


def tokens_in(replica: Replica) -> int:
    return kv_cache_tokens(with_ranks(replica, [memory_of(replica)]))


def plan(version: str, tp: int = 1, **asked: object) -> RankMemory:
    gpu = RankGpu(H100.memory_bytes, H100.memory_bytes, H100)
    engine = load_engine("vllm", version)
    return memory_of(replica_of(SPEC, engine, Layout(tp=tp), gpu, gpu_memory_utilization=0.95, **asked))


@pytest.mark.parametrize(
    ("version", "activation_gib"), [("0.11.0", 4.76), ("0.16.0", 4.76), ("0.17.0", 1.89), ("0.19.0", 1.89)]
)
def test_the_activation_peak_follows_the_version(version: str, activation_gib: float) -> None:
    assert plan(version).activation_bytes / GIB == pytest.approx(activation_gib, abs=0.03)


@pytest.mark.parametrize(("tp", "non_torch_gib"), [(1, 0.25), (2, 2.07), (4, 2.13)])
def test_memory_outside_torch_follows_the_group(tp: int, non_torch_gib: float) -> None:
    assert plan("0.19.0", tp).non_torch_bytes / GIB == pytest.approx(non_torch_gib, abs=0.06)


def test_gpus_without_the_fused_all_reduce_need_less() -> None:
    on_a100 = memory_of(replica_of(SPEC, load_engine("vllm", "0.19.0"), Layout(tp=2), ON_A100))
    assert on_a100.non_torch_bytes < plan("0.19.0", 2).non_torch_bytes - GIB


def test_kv_room_of_a_logged_start() -> None:
    """Llama-3.1-8B on H100 at 0.95, vLLM 0.19: 58.11 GiB."""
    assert plan("0.19.0").kv_cache_bytes / GIB == pytest.approx(58.11, abs=0.2)


def test_the_peak_of_whole_prompts_grows_with_their_length() -> None:
    """Llama-3.1-8B on an RTX 3090, vLLM 0.6: 2.07 GiB at 20000 tokens, 2.99 at 29000, little with chunks."""
    engine = load_engine("vllm", "0.6.3")
    peaks = [
        memory_of(
            replica_of(SPEC, engine, gpu=RankGpu(24 * GIB, 24 * GIB), max_model_len=length)
        ).activation_bytes
        for length in (20000, 29000, 35000)
    ]
    assert peaks[0] / GIB == pytest.approx(2.07, abs=0.03)
    assert peaks[1] / GIB == pytest.approx(2.99, abs=0.03)
    assert peaks[2] < peaks[0]


def test_graphs_are_inside_the_budget_since_0_21() -> None:
    before, after = plan("0.20.0"), plan("0.21.0")
    assert before.kv_cache_bytes - after.kv_cache_bytes == after.cuda_graph_bytes > 0
    assert plan("0.21.0", enforce_eager=True).cuda_graph_bytes == 0


def test_expert_buffers_stay_beside_the_sampler() -> None:
    """Qwen3-30B-A3B needs 0.47 GiB more than Qwen3-8B at the same vocabulary (2.68 against 2.21 GiB)."""
    engine = load_engine("vllm", "0.19.0")
    dense = model((dense_layer(4096, attention(32, 8, 128), 12288),) * 36, 4096, 151936)
    layer = expert_layer(2048, attention(32, 4, 128), 768, 128)
    experts = model((replace(layer, experts_per_token=8),) * 48, 2048, 151936)
    peaks = [
        memory_of(replica_of(spec, engine, gpu=ON_H100)).activation_bytes / GIB for spec in (dense, experts)
    ]
    assert peaks == pytest.approx([2.21, 2.68], abs=0.03)


def test_small_gpus_start_with_smaller_batches() -> None:
    engine = load_engine("vllm", "0.24.0")
    large = launch_on(SPEC, engine, PlanRequest(), H100.memory_bytes, H100)
    small = launch_on(SPEC, engine, PlanRequest(), A100.memory_bytes, A100)
    assert (large.max_num_seqs, large.max_num_batched_tokens) == (1024, 8192)
    assert (small.max_num_seqs, small.max_num_batched_tokens) == (256, 2048)


@settings(max_examples=60, deadline=None)
@given(
    tp=st.sampled_from([1, 2, 4, 8]),
    total_gib=st.integers(4, 200),
    free_share=st.floats(0, 1),
    engine_name=st.sampled_from(["vllm", "sglang", "builtin", "tensorrt-llm"]),
    utilization=st.none() | st.floats(0.01, 1.0),
)
def test_parts_sum_to_the_whole(
    tp: int, total_gib: int, free_share: float, engine_name: str, utilization: float | None
) -> None:
    total = total_gib * GIB
    gpu, layout = RankGpu(total, int(total * free_share)), Layout(tp=tp, pp=2)
    engine = load_engine(engine_name)
    replica = replica_of(SPEC, engine, layout, gpu, halves(SPEC), gpu_memory_utilization=utilization)
    for rank in replica.ranks:
        part = rank_memory(replica, rank)
        pieces = part.weights_bytes + part.activation_bytes + part.cuda_graph_bytes + part.non_torch_bytes
        assert pieces + part.kv_cache_bytes == part.total_bytes
        assert part.kv_cache_bytes >= 0
        assert part.total_bytes <= part.budget_bytes or part.kv_cache_bytes == 0


@settings(max_examples=60, deadline=None)
@given(free_gib=st.integers(1, 78), more=st.integers(1, 20), name=st.sampled_from(["vllm", "builtin"]))
def test_more_free_memory_never_holds_fewer_tokens(free_gib: int, more: int, name: str) -> None:
    def tokens(free: int) -> int:
        gpu = RankGpu(80 * GIB, free * GIB, H100)
        return tokens_in(replica_of(SPEC, load_engine(name), gpu=gpu, max_model_len=8192))

    assert tokens(min(80, free_gib + more)) >= tokens(free_gib)


def test_the_built_in_engine_keeps_a_slot_a_sequence_and_no_more() -> None:
    engine, asked = load_engine("builtin"), {"max_model_len": 4096, "max_num_seqs": 8}
    roomy = replica_of(SPEC, engine, gpu=ON_H100, **asked)
    slot = 4096 * 131_072
    assert memory_of(roomy).kv_cache_bytes == 8 * slot
    assert tokens_in(roomy) == 8 * 4096
    held = tokens_in(replica_of(SPEC, engine, gpu=RankGpu(24 * GIB, 20 * GIB, H100), **asked))
    assert held % 4096 == 0 and 0 < held < 8 * 4096


@pytest.mark.parametrize(("asked", "kv_gib"), [(0.93, 16.5), (None, 9.6)])
def test_a_static_fraction_leaves_the_overheads_outside(asked: float | None, kv_gib: float) -> None:
    """Qwen3-235B-A22B-FP8 on 4 H100 with --mem-fraction-static 0.93: 16.46 GiB, weights 55.1 GiB a GPU."""
    gpu = RankGpu(H100.memory_bytes, H100.memory_bytes, H100)
    replica = replica_of(SPEC, load_engine("sglang"), Layout(tp=4), gpu, gpu_memory_utilization=asked)
    part = memory_of(replica)
    room_gib = (part.kv_cache_bytes + part.weights_bytes) / GIB - 55.13
    assert room_gib == pytest.approx(kv_gib, abs=0.8)


def test_a_fraction_of_what_the_loaded_model_leaves() -> None:
    gpu = RankGpu(80 * GIB, 60 * GIB, H100)
    part = memory_of(replica_of(SPEC, load_engine("tensorrt-llm"), gpu=gpu))
    assert part.kv_cache_bytes == pytest.approx(0.9 * (60 * GIB - part.fixed_bytes), rel=1e-6)

"""What a plan's servers are started with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.cluster_spec import parse_cluster_spec
from cluster.engines.from_plan import server_launch
from cluster.errors import BadInput, DeployFailed
from tests.cluster.engines.planned import LARGE_MIXTURE, planned
from tests.cluster.planner.ask import GIB, LLAMA_8B, LLAMA_70B, ask, with_gpu


def test_the_limits_are_those_that_the_memory_was_planned_with() -> None:
    answer, candidate = planned(LLAMA_70B, "1x8xH100", tp=8)
    launch, planned_launch = server_launch(answer, candidate), candidate.launch
    assert planned_launch is not None
    assert launch.max_model_len == planned_launch.max_model_len == 131072
    assert launch.max_num_seqs == planned_launch.max_num_seqs
    assert launch.max_num_batched_tokens == planned_launch.max_num_batched_tokens
    assert launch.gpu_memory_utilization == planned_launch.gpu_memory_utilization == 0.92


def test_a_fraction_lowered_beside_another_process_is_passed() -> None:
    """vLLM refuses to start with its default fraction where less is free; the plan was made for less."""
    shared = with_gpu(parse_cluster_spec("1x1xH100"), 0, 0, memory_free_bytes=50 * GIB)
    answer = ask(LLAMA_8B, shared, max_model_len=8192)
    assert answer.recommended is not None
    fraction = server_launch(answer, answer.recommended).gpu_memory_utilization
    assert fraction is not None and 0.5 < fraction < 0.65


def test_all_replicas_get_the_smallest_fraction_that_one_of_them_needs() -> None:
    shared = with_gpu(parse_cluster_spec("1x2xH100"), 0, 1, memory_free_bytes=50 * GIB)
    answer = ask(LLAMA_8B, shared, max_model_len=8192, tp=1, dp=2)
    assert answer.recommended is not None and answer.recommended.launch is not None
    assert answer.recommended.launch.gpu_memory_utilization < 0.65


def test_sglang_works_its_own_fraction_out_unless_it_is_set() -> None:
    answer, candidate = planned(LLAMA_8B, "1x1xH100", engine="sglang")
    assert server_launch(answer, candidate).gpu_memory_utilization is None
    answer, candidate = planned(LLAMA_8B, "1x1xH100", engine="sglang", gpu_memory_utilization=0.7)
    assert server_launch(answer, candidate).gpu_memory_utilization == 0.7


def test_dtypes_are_spelled_as_engines_spell_them() -> None:
    answer, candidate = planned(LLAMA_8B, "1x1xH100", dtype="fp16", kv_cache_dtype="bf16")
    launch = server_launch(answer, candidate)
    assert (launch.dtype, launch.kv_cache_dtype) == ("float16", "bfloat16")


def test_shared_experts_are_one_server_with_attention_ranks() -> None:
    answer, candidate = planned(LARGE_MIXTURE, "2x8xH200", tp=8, dp=2, ep=16)
    launch = server_launch(answer, candidate)
    assert (launch.tp, launch.attention_dp, launch.expert_parallel) == (8, 2, True)


def test_stages_are_stated_only_where_the_engine_would_divide_otherwise() -> None:
    answer, candidate = planned(LLAMA_70B, "1x8xH100", tp=4, pp=2)
    assert server_launch(answer, candidate).layers_per_stage == ()
    first, second = candidate.stages
    uneven = (replace(first, end=first.end + 2), replace(second, first=second.first + 2))
    moved = replace(candidate, stages=uneven)
    assert server_launch(answer, moved).layers_per_stage == (first.num_layers + 2, second.num_layers - 2)


def test_a_layout_that_does_not_fit_is_refused_with_its_reason() -> None:
    answer = ask(LLAMA_70B, "1x1xL4")
    with pytest.raises(DeployFailed, match="is not feasible"):
        server_launch(answer, answer.candidates[-1])


def test_a_model_without_anything_to_load_is_refused() -> None:
    answer, candidate = planned(LLAMA_8B, "1x1xH100")
    nameless = replace(answer, model=replace(answer.model, origin=None))
    with pytest.raises(BadInput, match="config file only"):
        server_launch(nameless, candidate)

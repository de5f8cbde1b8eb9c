"""Weights by shard: exact sums, replication, padding, stages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.model_spec import Split, Tensor, WeightFormat
from cluster.planner.layout import Layout
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.sharding import ShardRules, kv_heads_on_rank, shard_bytes, shard_shape
from tests.cluster.planner.memory.specs import BF16, attention, expert_layer, halves, llama_8b, model, whole

VLLM = load_engine("vllm", "0.19.0")
BUILTIN = load_engine("builtin")
UNROUNDED = replace(VLLM, version="unrounded", weights=replace(VLLM.weights, rounds_allocations=False))


def test_one_rank_holds_every_parameter_once() -> None:
    spec = llama_8b()
    assert stage_weights_bytes(spec, Layout(), whole(spec), VLLM) == 2 * 8_030_261_248


@pytest.mark.parametrize("tp", [2, 4, 8])
def test_ranks_together_hold_the_model_and_their_own_norms(tp: int) -> None:
    spec = llama_8b()
    norms = 2 * 4096 * (2 * 32 + 1)
    whole_bytes = stage_weights_bytes(spec, Layout(), whole(spec), UNROUNDED)
    rank = stage_weights_bytes(spec, Layout(tp=tp), whole(spec), UNROUNDED)
    assert rank == (whole_bytes - norms) // tp + norms


def test_stages_together_hold_the_model() -> None:
    spec = llama_8b()
    first, last = (stage_weights_bytes(spec, Layout(pp=2), stage, VLLM) for stage in halves(spec))
    assert first + last == stage_weights_bytes(spec, Layout(), whole(spec), VLLM)
    assert last - first == 2 * 4096  # the last one has the final norm


def test_a_tied_embedding_is_copied_to_the_last_stage() -> None:
    spec = replace(llama_8b(), head=None, tied_embeddings=True)
    table = 2 * 128256 * 4096
    parts = sum(stage_weights_bytes(spec, Layout(pp=2), stage, VLLM) for stage in halves(spec))
    assert parts == stage_weights_bytes(spec, Layout(), whole(spec), VLLM) + table


def test_kv_heads_are_copied_beyond_their_number() -> None:
    assert [kv_heads_on_rank(8, tp) for tp in (1, 2, 8, 16)] == [8, 4, 1, 1]
    key = Tensor("k_proj", 8 * 128, 4096, Split.KV_HEADS, BF16)
    mixer = attention(64, 8, 128)
    assert shard_shape(key, ShardRules(tp=16), mixer) == (128, 4096, 1)


def test_vocabulary_is_padded_before_it_is_divided() -> None:
    table = Tensor("embedding", 32003, 8, Split.VOCAB, BF16)
    assert shard_shape(table, ShardRules(tp=2, vocab_padding=64)) == (32064 // 2, 8, 1)
    assert shard_shape(table, ShardRules(tp=2, vocab_padding=1)) == (16002, 8, 1)


def test_uneven_heads_go_to_the_largest_rank() -> None:
    query = Tensor("q_proj", 32 * 128, 4096, Split.HEADS, BF16)
    assert shard_shape(query, ShardRules(tp=3), attention(32, 32, 128))[0] == 11 * 128


def test_experts_are_divided_whole_or_inside() -> None:
    spec = model((expert_layer(1024, attention(16, 4, 64), 512, 64),) * 4, hidden=1024)
    split_inside = stage_weights_bytes(spec, Layout(tp=4), whole(spec), VLLM)
    split_whole = stage_weights_bytes(spec, Layout(tp=4, ep=4), whole(spec), VLLM)
    assert split_inside == split_whole


def test_scales_are_counted_by_group_and_block() -> None:
    grouped = Tensor("w", 256, 1024, Split.COLUMN, WeightFormat("int4", 4, 128, None, 2.5))
    assert shard_bytes(grouped, ShardRules()) == 256 * 1024 // 2 + 256 * 8 * 2.5
    blocked = Tensor("w", 256, 1024, Split.COLUMN, WeightFormat("fp8", 8, None, (128, 128), 4.0))
    assert shard_bytes(blocked, ShardRules(tp=2)) == 128 * 1024 + 8 * 4


def test_micro_scaled_experts_are_padded_by_the_engine() -> None:
    weight = WeightFormat("mxfp4", 4, 32, None, 1.0)
    experts = Tensor("experts.up", 2880, 2880, Split.COLUMN, weight, copies=32, is_expert=True)
    padded = 2944 * (3072 // 2 + 3072 // 32) * 32
    assert shard_bytes(experts, ShardRules(hidden_padding=256, width_padding=128)) == padded
    assert shard_bytes(experts, ShardRules()) == experts.size_bytes

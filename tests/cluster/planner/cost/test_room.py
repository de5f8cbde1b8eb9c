"""The tokens that engines state are turned back into bytes the way each engine counted them."""

from __future__ import annotations

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.models import load_model
from cluster.planner.cost.room import sequence_bytes, sequences_in_room, stated_token_bytes
from cluster.planner.layout import Layout
from cluster.planner.memory import ReplicaMemory, engine_limits, kv_cache_tokens
from cluster.planner.request import PlanRequest
from cluster.planner.result import RankMemory
from tests.evidence.setups import even_stages

GIB = 1024**3
SLIDING, FULL, STATES = "openai/gpt-oss-120b", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3.5-9B"


def memory_with(cache_bytes: int) -> RankMemory:
    return RankMemory(
        total_bytes=80 * GIB,
        weights_bytes=0,
        kv_cache_bytes=cache_bytes,
        activation_bytes=0,
        cuda_graph_bytes=0,
        non_torch_bytes=0,
        budget_bytes=80 * GIB,
    )


@pytest.mark.parametrize("version", ["0.11.0", "0.33.0"])
@pytest.mark.parametrize("max_model_len", [4096, 32768, 131072])
@pytest.mark.parametrize("name", [SLIDING, FULL, STATES])
def test_the_stated_tokens_are_the_bytes_they_came_from(name: str, max_model_len: int, version: str) -> None:
    model, engine = load_model(name), load_engine("vllm", version)
    request = PlanRequest(max_model_len=max_model_len)
    limits = engine_limits(model, engine, request, 80 * GIB)
    stages = even_stages(model.num_layers, 1)
    tokens = kv_cache_tokens(
        ReplicaMemory.of(model, Layout(), stages, [memory_with(8 * GIB)], engine, request, limits)
    )
    stated = tokens * stated_token_bytes(model, 1, engine, request, limits)
    assert stated == pytest.approx(8 * GIB, rel=0.01)


def test_windows_leave_room_for_more_sequences_whatever_the_longest_may_be() -> None:
    model, engine = load_model(SLIDING), load_engine("vllm", "0.11.0")
    held = []
    for max_model_len in (8192, 131072):
        request = PlanRequest(max_model_len=max_model_len)
        limits = engine_limits(model, engine, request, 80 * GIB)
        stages = even_stages(model.num_layers, 1)
        tokens = kv_cache_tokens(
            ReplicaMemory.of(model, Layout(), stages, [memory_with(4 * GIB)], engine, request, limits)
        )
        held.append(sequences_in_room(model, Layout(), engine, request, limits, tokens, 4000))
    assert held[0] == pytest.approx(held[1], rel=0.01)
    whole = 4000 * sequence_bytes(model, 1, engine, PlanRequest(), 1)
    assert sequence_bytes(model, 1, engine, PlanRequest(), 4000) < whole

"""The cache of a replica stays in bytes until it is divided by what a sequence takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.models import load_model
from cluster.planner.cost.kv_room import room_bytes, sequence_bytes, sequences_in_room
from cluster.planner.layout import Layout
from cluster.planner.memory import ReplicaMemory, replica_memory, with_ranks
from cluster.planner.replica import RankGpu
from cluster.planner.request import PlanRequest
from tests.evidence.setups import even_replica

GIB = 1024**3
SLIDING, FULL, STATES = "openai/gpt-oss-120b", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3.5-9B"


def with_cache(
    name: str, *cache_bytes: int, version: str = "0.11.0", max_model_len: int = 8192
) -> ReplicaMemory:
    """A replica with so many bytes of cache on each of its stages."""
    layout, gpu = Layout(pp=len(cache_bytes)), RankGpu(80 * GIB, 80 * GIB)
    engine, request = load_engine("vllm", version), PlanRequest(max_model_len=max_model_len)
    replica = even_replica(load_model(name), layout, gpu, request, engine)
    ranks = replica_memory(replica).ranks
    given = [replace(rank, kv_cache_bytes=size) for rank, size in zip(ranks, cache_bytes, strict=True)]
    return with_ranks(replica, given)


@pytest.mark.parametrize("version", ["0.11.0", "0.33.0"])
@pytest.mark.parametrize("max_model_len", [4096, 32768, 131072])
@pytest.mark.parametrize("name", [SLIDING, FULL, STATES])
def test_all_but_a_part_of_a_block_is_room(name: str, max_model_len: int, version: str) -> None:
    memory = with_cache(name, 8 * GIB, version=version, max_model_len=max_model_len)
    (room,), (pool,) = room_bytes(memory), memory.pools
    assert 0 <= 8 * GIB - room < pool.block_bytes


@pytest.mark.parametrize("name", [SLIDING, FULL, STATES])
def test_the_room_holds_what_its_bytes_hold(name: str) -> None:
    memory = with_cache(name, 4 * GIB)
    (stage,), (room,) = memory.replica.stages, room_bytes(memory)
    held = sequences_in_room(memory.replica, [room], 4000)
    assert held * sequence_bytes(memory.replica, stage, 4000) == pytest.approx(room)


def test_windows_leave_room_for_more_sequences_whatever_the_longest_may_be() -> None:
    held = []
    for max_model_len in (8192, 131072):
        memory = with_cache(SLIDING, 4 * GIB, max_model_len=max_model_len)
        held.append(sequences_in_room(memory.replica, room_bytes(memory), 4000))
    assert held[0] == pytest.approx(held[1], rel=0.01)
    replica, stage = memory.replica, memory.replica.whole_model
    assert sequence_bytes(replica, stage, 4000) < 4000 * sequence_bytes(replica, stage, 1)


def test_the_stage_with_the_least_room_decides() -> None:
    def held(*cache_bytes: int) -> float:
        memory = with_cache(FULL, *cache_bytes)
        return sequences_in_room(memory.replica, room_bytes(memory), 4000)

    assert held(GIB, 4 * GIB) == held(GIB, GIB) == pytest.approx(held(4 * GIB, 4 * GIB) / 4, rel=0.01)

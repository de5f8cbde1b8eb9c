"""What does not fit, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.planner.layout import StageRange
from cluster.planner.memory import ReplicaMemory
from cluster.planner.memory.kv_cache import kv_bytes_per_token, kv_cache_tokens, sequences_held
from cluster.planner.result import RankMemory, Rejection
from cluster.planner.rule import Rule
from cluster.units import format_gib

ROOM_ERROR_SHARE = 0.1
"""A cache that is short by less than this share of the overheads, the part of a prediction that errs, is not
refused: on the evidence four predictions in five lie within it."""


def memory_rejections(memory: ReplicaMemory) -> tuple[Rejection, ...]:
    """Return why this replica does not fit the budgets of its ranks, the worst stage told."""
    return tuple(_find(memory))


def _find(replica_memory: ReplicaMemory) -> Iterator[Rejection]:
    replica, memories = replica_memory.replica, replica_memory.ranks
    worst = max(range(len(memories)), key=lambda i: memories[i].fixed_bytes - memories[i].budget_bytes)
    memory, where = memories[worst], _where(replica.ranks[worst].stage, len(memories))
    if memory.weights_bytes > memory.budget_bytes:
        short = memory.weights_bytes - memory.budget_bytes
        yield Rejection(
            Rule.WEIGHTS_DO_NOT_FIT,
            f"weights take {format_gib(memory.weights_bytes)} a GPU{where}, "
            f"{format_gib(short)} more than the budget of {format_gib(memory.budget_bytes)}",
        )
    elif memory.kv_cache_bytes == 0:
        yield Rejection(
            Rule.NO_KV_MEMORY,
            f"weights {format_gib(memory.weights_bytes)} and overheads "
            f"{format_gib(memory.fixed_bytes - memory.weights_bytes)} leave no room for a KV cache{where}: "
            f"{format_gib(memory.shortfall_bytes)} more than the budget of {format_gib(memory.budget_bytes)}",
        )
    elif (asked := replica.launch.kv_cache_memory_bytes) and memory.budget_bytes < memory.fixed_bytes + asked:
        room = format_gib(memory.budget_bytes - memory.fixed_bytes)
        yield Rejection(
            Rule.NO_KV_MEMORY,
            f"a KV cache of {format_gib(asked)} is more than the {room} that stay free{where}",
        )
    else:
        yield from _too_long(replica_memory)


def _too_long(memory: ReplicaMemory) -> Iterator[Rejection]:
    missing = _missing_bytes(memory)
    forgiven = missing <= _error_bytes(memory.ranks) or _shortens(memory)
    if forgiven and kv_cache_tokens(memory) > 0:
        return
    max_len, there = memory.replica.launch.max_model_len, min(rank.kv_cache_bytes for rank in memory.ranks)
    yield Rejection(
        Rule.MAX_LEN_EXCEEDS_KV,
        f"one sequence of {max_len:,} tokens needs {format_gib(missing)} more KV cache a GPU "
        f"than the {format_gib(there)} there are",
    )


def _shortens(memory: ReplicaMemory) -> bool:
    """Whether the engine starts with less cache than its longest request, and turns such requests away."""
    return memory.replica.engine.cache.limits_requests_to_cache


def _missing_bytes(memory: ReplicaMemory) -> float:
    """Return by how much a GPU's cache is short of one sequence of full length."""
    held, replica = sequences_held(memory), memory.replica
    if held >= 1:
        return 0.0
    max_len = replica.launch.max_model_len
    return (1 - held) * max_len * kv_bytes_per_token(replica, max_len) / replica.layout.pp


def _error_bytes(memories: Sequence[RankMemory]) -> float:
    return ROOM_ERROR_SHARE * max(memory.fixed_bytes - memory.weights_bytes for memory in memories)


def memory_notes(memory: ReplicaMemory) -> tuple[str, ...]:
    """Return what a user should know of a layout that is not refused: a cache within a hair of too small."""
    missing = _missing_bytes(memory)
    if not missing:
        return ()
    if _shortens(memory):
        return (f"requests of more than {_longest_held(memory):,} tokens do not fit the cache",)
    return (
        f"tight: {format_gib(missing)} short of one sequence of full length, less than the prediction "
        f"may err; --max-model-len {_longest_held(memory)} is safe",
    )


def _longest_held(memory: ReplicaMemory) -> int:
    """Return the longest sequence there is room for; windows and states make this no matter of proportion."""
    low, high = 0, memory.replica.launch.max_model_len
    while high - low > 1:
        middle = (low + high) // 2
        if sequences_held(memory.at_length(middle)) >= 1:
            low = middle
        else:
            high = middle
    return low


def _where(stage: StageRange, num_stages: int) -> str:
    return f" of stage {stage.stage}" if num_stages > 1 else ""

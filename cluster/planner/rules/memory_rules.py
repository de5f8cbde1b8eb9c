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
"""A shortfall below this share of the overheads, the least certain part of a prediction, is not refused: four
in five predictions are within it (tests/evidence)."""


def memory_rejections(memory: ReplicaMemory) -> tuple[Rejection, ...]:
    """Return why this replica does not fit its ranks' budgets, by the worst stage."""
    return tuple(_find(memory))


def _find(replica_memory: ReplicaMemory) -> Iterator[Rejection]:
    replica, memories = replica_memory.replica, replica_memory.ranks
    worst = max(range(len(memories)), key=lambda i: memories[i].fixed_bytes - memories[i].budget_bytes)
    memory, where = memories[worst], _where(replica.ranks[worst].stage, len(memories))
    if memory.weights_bytes > memory.budget_bytes:
        short = memory.weights_bytes - memory.budget_bytes
        yield Rejection(
            Rule.WEIGHTS_DO_NOT_FIT,
            f"weights need {format_gib(memory.weights_bytes)} per GPU{where}, "
            f"{format_gib(short)} over the {format_gib(memory.budget_bytes)} budget",
        )
    elif memory.kv_cache_bytes == 0:
        overheads = format_gib(memory.fixed_bytes - memory.weights_bytes)
        yield Rejection(
            Rule.NO_KV_MEMORY,
            f"weights ({format_gib(memory.weights_bytes)}) and overheads ({overheads}) "
            f"leave no room for the KV cache{where}: "
            f"{format_gib(memory.shortfall_bytes)} over the {format_gib(memory.budget_bytes)} budget",
        )
    elif (asked := replica.launch.kv_cache_memory_bytes) and memory.budget_bytes < memory.fixed_bytes + asked:
        room = format_gib(memory.budget_bytes - memory.fixed_bytes)
        yield Rejection(
            Rule.NO_KV_MEMORY,
            f"the requested {format_gib(asked)} KV cache exceeds the {room} available{where}",
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
        f"a {max_len:,}-token sequence needs {format_gib(there + missing)} of KV cache per GPU; "
        f"{format_gib(there)} is available",
    )


def _shortens(memory: ReplicaMemory) -> bool:
    """Return whether the engine starts with less cache than its longest request and rejects such requests."""
    return memory.replica.engine.cache.limits_requests_to_cache


def _missing_bytes(memory: ReplicaMemory) -> float:
    """Return by how much a GPU's cache is short of one full-length sequence."""
    held, replica = sequences_held(memory), memory.replica
    if held >= 1:
        return 0.0
    max_len = replica.launch.max_model_len
    return (1 - held) * max_len * kv_bytes_per_token(replica, max_len) / replica.layout.pp


def _error_bytes(memories: Sequence[RankMemory]) -> float:
    return ROOM_ERROR_SHARE * max(memory.fixed_bytes - memory.weights_bytes for memory in memories)


def memory_notes(memory: ReplicaMemory) -> tuple[str, ...]:
    """Return notes on a layout that is not refused although its cache is slightly too small."""
    missing = _missing_bytes(memory)
    if not missing:
        return ()
    if _shortens(memory):
        return (f"requests longer than {_longest_held(memory):,} tokens do not fit the KV cache",)
    return (
        f"tight: {format_gib(missing)} short of one full-length sequence, within the prediction error; "
        f"--max-model-len {_longest_held(memory)} is safe",
    )


def _longest_held(memory: ReplicaMemory) -> int:
    """Return the longest sequence that fits; sliding windows and states make this nonlinear, so search."""
    low, high = 0, memory.replica.launch.max_model_len
    while high - low > 1:
        middle = (low + high) // 2
        if sequences_held(memory.at_length(middle)) >= 1:
            low = middle
        else:
            high = middle
    return low


def _where(stage: StageRange, num_stages: int) -> str:
    return f" in stage {stage.stage}" if num_stages > 1 else ""

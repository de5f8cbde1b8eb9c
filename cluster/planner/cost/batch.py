"""How many requests a replica runs at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.planner.cost.steady_state import ReplicaState, Stream, batch_for_budget
from cluster.planner.replica import Replica
from cluster.planner.traffic import Traffic

HALVINGS = 12
"""Bisection steps to the largest batch within the limits: precise to 1 in 4,096."""


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """The largest batch of a replica and what sets it."""

    batch: float
    by: str
    """'KV room', 'max-num-seqs', 'token budget' or 'concurrency'."""


def batch_limit(replica: Replica, requests: float | None, stream: Stream, room: float) -> BatchLimit:
    """Return the batch that KV room, max_num_seqs, the step's token budget and the concurrency allow.

    `requests` are those in flight in this replica, None for no limit; `room` is the number of sequences that
    fit the KV cache of all its ranks.
    """
    layout = replica.layout
    ranks = layout.attention_ranks
    limits = [
        (room, "KV room"),
        (float(replica.launch.max_num_seqs * ranks), "max-num-seqs"),
        (batch_for_budget(stream, ranks * layout.pp), "token budget"),
    ]
    if requests is not None:
        limits.append((requests, "concurrency"))
    batch, by = min(limits)
    return BatchLimit(max(1.0, batch), by)


def largest_within(at: Callable[[float], ReplicaState], limit: float, traffic: Traffic) -> ReplicaState:
    """Return the state at the largest batch that meets the TTFT and TPOT limits; if even batch 1 misses them,
    the state at batch 1, which comes closest."""
    top = at(limit)
    if _within(top, traffic) or limit <= 1:
        return top
    best = at(1.0)
    if not _within(best, traffic):
        return best
    low, high = 1.0, limit
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        state = at(middle)
        if _within(state, traffic):
            low, best = middle, state
        else:
            high = middle
    return best


def _within(state: ReplicaState, traffic: Traffic) -> bool:
    return (traffic.ttft_s is None or state.ttft_s <= traffic.ttft_s) and (
        traffic.tpot_s is None or state.tpot_s <= traffic.tpot_s
    )

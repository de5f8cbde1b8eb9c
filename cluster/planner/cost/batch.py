"""How many requests a replica runs at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.planner.cost.steady_state import ReplicaState, Stream, batch_for_budget
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest

HALVINGS = 12
"""Steps of the search for the largest batch within the limits: a part in 4,096."""


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """The largest batch of a replica and what sets it."""

    batch: float
    by: str
    """'KV room', 'max-num-seqs', 'token budget' or 'concurrency'."""


def attention_ranks(layout: Layout) -> int:
    """Return the data-parallel attention ranks of one engine; 1 without DP attention."""
    return max(1, layout.dp // layout.num_replicas) if layout.dp_attention else 1


def batch_limit(
    layout: Layout, max_num_seqs: int, request: PlanRequest, stream: Stream, room: float
) -> BatchLimit:
    """Return the batch that KV room, max_num_seqs, the step's token budget and the concurrency allow.

    `room` is the sequences that the cache of one replica holds, over all its ranks.
    """
    ranks = attention_ranks(layout)
    limits = [
        (room, "KV room"),
        (float(max_num_seqs * ranks), "max-num-seqs"),
        (batch_for_budget(stream, ranks * layout.pp), "token budget"),
    ]
    if request.concurrency is not None:
        limits.append((request.concurrency / layout.num_replicas, "concurrency"))
    batch, by = min(limits)
    return BatchLimit(max(1.0, batch), by)


def largest_within(at: Callable[[float], ReplicaState], limit: float, request: PlanRequest) -> ReplicaState:
    """Return the state at the largest batch that keeps the TTFT and TPOT limits; where even one request at a
    time misses them, at that, which comes nearest."""
    top = at(limit)
    if _within(top, request) or limit <= 1:
        return top
    best = at(1.0)
    if not _within(best, request):
        return best
    low, high = 1.0, limit
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        state = at(middle)
        if _within(state, request):
            low, best = middle, state
        else:
            high = middle
    return best


def _within(state: ReplicaState, request: PlanRequest) -> bool:
    return (request.ttft_s is None or state.ttft_s <= request.ttft_s) and (
        request.tpot_s is None or state.tpot_s <= request.tpot_s
    )

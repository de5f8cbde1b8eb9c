"""Time and throughput of identical replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.planner.cost.band import band, layout_class
from cluster.planner.cost.batch import BatchLimit, batch_limit, largest_within
from cluster.planner.cost.kv_room import room_bytes, sequences_in_room
from cluster.planner.cost.rates import rates_of
from cluster.planner.cost.replica_work import replica_work
from cluster.planner.cost.stage_sums import all_reduces_per_token
from cluster.planner.cost.steady_state import ReplicaState, Stream, steady_state
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory import ReplicaMemory
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.replica import Replica
from cluster.planner.result import Bottleneck, Estimate
from cluster.planner.traffic import Traffic

SERVED_BATCH = 32
"""From this batch on, the overhead of an HTTP server widens the band."""


@dataclass(frozen=True, slots=True)
class _Operation:
    """Replicas in steady state, and at the requested concurrency."""

    replica: Replica
    state: ReplicaState
    timed: ReplicaState
    limit: BatchLimit
    busy: float
    """Number of replicas with at least one request."""

    @property
    def throughput_tokens_per_s(self) -> float:
        return self.busy * self.state.throughput_tokens_per_s


def estimate(memory: ReplicaMemory, traffic: Traffic, count: int = 1) -> Estimate:
    """Predict TTFT, TPOT and output tokens per second of `count` such replicas together in steady state.

    The traffic's concurrency is spread over the replicas; without one each takes the largest batch that KV
    room, max_num_seqs and the limits on TTFT and TPOT allow, and the objective 'latency' takes TTFT and TPOT
    at one request at a time.
    """
    replica = memory.replica
    best = _operate(replica, room_bytes(memory), traffic, count)
    if _recipe_shares_experts(replica, traffic):
        wide = _as_attention_dp(replica)
        other = _operate(wide, _room_beside_whole_attention(memory, wide), traffic, count)
        if other.throughput_tokens_per_s > best.throughput_tokens_per_s:
            best = other
    return _estimate(replica, best, traffic)


def _operate(replica: Replica, room: Sequence[int], traffic: Traffic, count: int) -> _Operation:
    lengths = traffic.lengths
    stream = Stream(
        max(1, lengths.input_tokens), max(1, lengths.output_tokens), replica.launch.max_num_batched_tokens
    )
    work = replica_work(replica)
    kept = stream.input_tokens + stream.output_tokens * work.rates.engine.reserved_output_share
    in_flight = None if traffic.concurrency is None else traffic.concurrency / count
    limit = batch_limit(replica, in_flight, stream, sequences_in_room(replica, room, kept))
    state = largest_within(lambda batch: steady_state(work, stream, batch), limit.batch, traffic)
    busy = float(count)
    timed = state
    if traffic.concurrency is not None:
        busy = min(busy, float(traffic.concurrency))
        timed = _with_queue(state, stream, traffic.concurrency / busy)
    elif traffic.objective == "latency":
        timed = steady_state(work, stream, 1.0)
    return _Operation(replica, state, timed, limit, busy)


def _recipe_shares_experts(replica: Replica, traffic: Traffic) -> bool:
    """Return whether the engine's MoE recipe runs these TP ranks as attention-DP ranks with EP.

    Only for engines whose timing data say so, and at concurrency above one.
    """
    layout, alone = replica.layout, traffic.concurrency == 1
    alone |= traffic.objective == "latency" and traffic.concurrency is None
    recipe = rates_of(replica.slowest, replica.engine).engine.experts_by_attention_dp
    return recipe and replica.model.is_moe and layout.tp > 1 and not layout.dp_attention and not alone


def _as_attention_dp(replica: Replica) -> Replica:
    """Return the replica with every TP rank as its own attention rank; experts are shared."""
    ranks = replica.layout.tp
    layout = Layout(tp=1, pp=replica.layout.pp, dp=ranks, ep=ranks, dp_attention=True)
    return replace(replica, layout=layout)


def _room_beside_whole_attention(memory: ReplicaMemory, wide: Replica) -> tuple[int, ...]:
    """Return each stage's pool bytes less the attention weights, which every rank now keeps in full."""
    split = memory.replica
    more = max(_weights_bytes(wide, rank.stage) - _weights_bytes(split, rank.stage) for rank in split.ranks)
    return tuple(max(0, room - max(0, more)) for room in room_bytes(memory))


def _weights_bytes(replica: Replica, stage: StageRange) -> int:
    return stage_weights_bytes(replica.model, replica.layout, stage, replica.engine)


def _with_queue(state: ReplicaState, stream: Stream, in_flight: float) -> ReplicaState:
    """Add the queueing time of requests beyond the batch, by Little's law."""
    served_per_s = state.throughput_tokens_per_s / stream.output_tokens
    queued_s = in_flight / served_per_s - state.residence_s
    return replace(state, ttft_s=state.ttft_s + queued_s) if queued_s > 1e-6 * state.residence_s else state


def _estimate(replica: Replica, operation: _Operation, traffic: Traffic) -> Estimate:
    model, layout, timed = replica.model, replica.layout, operation.timed
    offline = rates_of(replica.slowest, replica.engine).engine.measured_offline
    served = not offline and operation.state.batch >= SERVED_BATCH
    group, known = layout_class(model, layout, served=served), model.known_architecture
    decode = timed.decode
    return Estimate(
        throughput_tokens_per_s=band(operation.throughput_tokens_per_s, "throughput", group, known=known),
        ttft_s=band(timed.ttft_s, "ttft", group, known=known),
        tpot_s=band(timed.tpot_s, "tpot", group, known=known),
        request_s=timed.ttft_s + timed.tpot_s * max(0, traffic.lengths.output_tokens - 1),
        batch=max(1, round(timed.batch)),
        all_reduce_share=decode.all_reduce_s / decode.total_s if decode.total_s else 0.0,
        all_reduces_per_token=all_reduces_per_token(model, operation.replica.layout),
        bottleneck=_bottleneck(timed, operation.limit, operation.replica.layout),
        runs_as=None if operation.replica is replica else operation.replica.layout,
    )


def _bottleneck(state: ReplicaState, limit: BatchLimit, layout: Layout) -> Bottleneck:
    slowest = state.mean
    if layout.pp > 1 and state.micro_batches < layout.pp:
        return Bottleneck.PIPELINE_BUBBLES
    if slowest.all_reduce_s > 0.4 * slowest.total_s:
        return Bottleneck.ALL_TO_ALL if layout.dp_attention and layout.tp == 1 else Bottleneck.ALL_REDUCE
    if limit.by == "KV room" and state.batch >= limit.batch > 1 and slowest.memory_s > slowest.compute_s:
        return Bottleneck.KV_ROOM
    if state.host_bound:
        return Bottleneck.HOST
    if slowest.fixed_s > max(slowest.memory_s, slowest.compute_s):
        return Bottleneck.LAUNCH_OVERHEAD
    return Bottleneck.COMPUTE if slowest.compute_s > slowest.memory_s else Bottleneck.MEMORY_BANDWIDTH

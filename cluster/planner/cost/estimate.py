"""Time and throughput of a whole layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import MeasuredLink
from cluster.planner.cost.all_reduces import all_reduces_per_token
from cluster.planner.cost.band import band, layout_class
from cluster.planner.cost.batch import BatchLimit, batch_limit, largest_within
from cluster.planner.cost.rates import rates_of
from cluster.planner.cost.replica import make_replica
from cluster.planner.cost.room import sequences_in_room, stated_token_bytes
from cluster.planner.cost.steady_state import ReplicaState, Stream, steady_state
from cluster.planner.cost.topology import Topology
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory import engine_limits
from cluster.planner.memory.cache_layers import cache_element_bytes
from cluster.planner.memory.weights import stage_weights_bytes
from cluster.planner.request import PlanRequest
from cluster.planner.result import Bottleneck, Estimate

SERVED_BATCH = 32
"""From this batch on an HTTP server's own losses widen the band."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """One way to run a layout, with its replica's state in the steady state and at the asked concurrency."""

    state: ReplicaState
    timed: ReplicaState
    limit: BatchLimit
    busy: float
    """Replicas that have a request."""

    @property
    def throughput_tokens_per_s(self) -> float:
        return self.busy * self.state.throughput_tokens_per_s


@dataclass(frozen=True, slots=True)
class _Question:
    """What stays the same over the ways to run a layout."""

    model: ModelSpec
    stages: Sequence[StageRange]
    gpu: GpuSpec
    topology: Topology
    engine: EngineProfile
    request: PlanRequest
    measured_links: Sequence[MeasuredLink]


def estimate(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    gpu: GpuSpec,
    topology: Topology,
    engine: EngineProfile,
    request: PlanRequest,
    kv_tokens: int,
    measured_links: Sequence[MeasuredLink] = (),
) -> Estimate:
    """Predict TTFT, TPOT and output tokens a second of the whole layout in steady state.

    `kv_tokens` is one replica's room, under DP attention that of all its ranks. Concurrency is the request's,
    spread over the replicas, or else the largest batch that KV room, max_num_seqs and the limits on TTFT and
    TPOT allow. Without a concurrency the objective 'latency' takes TTFT and TPOT at one request at a time.
    """
    question = _Question(model, stages, gpu, topology, engine, request, measured_links)
    best = _judge(question, layout, kv_tokens)
    other = _attention_dp(question, layout, kv_tokens)
    if other is not None and other.throughput_tokens_per_s > best.throughput_tokens_per_s:
        best = other
    return _estimate(question, layout, best)


def _judge(question: _Question, layout: Layout, kv_tokens: int) -> _Judged:
    model, engine, request, gpu = question.model, question.engine, question.request, question.gpu
    rates = rates_of(gpu, engine)
    kv_bytes = cache_element_bytes(model, engine, request)
    limits = engine_limits(model, engine, request, gpu.memory_bytes, gpu)
    stream = Stream(
        max(1, request.input_tokens), max(1, request.output_tokens), limits.max_num_batched_tokens
    )
    replica = make_replica(
        model, layout, question.stages, gpu, question.topology, kv_bytes, rates, question.measured_links
    )
    if request.enforce_eager:
        replica = replace(replica, eager=True)
    kept = stream.input_tokens + stream.output_tokens * rates.engine.reserved_output_share
    room = sequences_in_room(model, layout, engine, request, limits, kv_tokens, kept)
    limit = batch_limit(layout, limits.max_num_seqs, request, stream, room)
    state = largest_within(lambda batch: steady_state(replica, stream, batch), limit.batch, request)
    busy = float(layout.num_replicas)
    timed = state
    if request.concurrency is not None:
        busy = min(busy, float(request.concurrency))
        timed = _with_queue(state, stream, request.concurrency / busy)
    elif request.objective == "latency":
        timed = steady_state(replica, stream, 1.0)
    return _Judged(state, timed, limit, busy)


def _attention_dp(question: _Question, layout: Layout, kv_tokens: int) -> _Judged | None:
    """Judge the layout as the engine's recipe for experts runs it: TP ranks as attention-DP ranks with EP.

    Only for engines whose timing data say so. Each rank then keeps whole heads of its own requests, and the
    attention weights stand on every rank; the room follows from both.
    """
    model, request, engine = question.model, question.request, question.engine
    timing = rates_of(question.gpu, engine).engine
    if not timing.experts_by_attention_dp or not model.is_moe or layout.tp == 1 or layout.dp_attention:
        return None
    if request.concurrency == 1 or (request.objective == "latency" and request.concurrency is None):
        return None
    wide = Layout(tp=1, pp=layout.pp, dp=layout.tp * layout.dp, ep=layout.tp, dp_attention=True)
    return _judge(question, wide, _attention_dp_tokens(question, layout, wide, kv_tokens))


def _attention_dp_tokens(question: _Question, layout: Layout, wide: Layout, kv_tokens: int) -> int:
    """Turn the room of TP ranks into that of attention-DP ranks: bytes of the pool, less the weights that now
    stand whole on every rank, over the bytes of a token's whole heads."""
    model, request, engine = question.model, question.request, question.engine
    limits = engine_limits(model, engine, request, question.gpu.memory_bytes, question.gpu)
    split = stated_token_bytes(model, layout.tp, engine, request, limits)
    whole = stated_token_bytes(model, 1, engine, request, limits)
    more = max(
        stage_weights_bytes(model, wide, stage, engine) - stage_weights_bytes(model, layout, stage, engine)
        for stage in question.stages
    )
    pool_bytes = kv_tokens * split - max(0, more) * len(question.stages)
    return max(0, int(layout.tp * pool_bytes / max(whole, 1e-9)))


def _with_queue(state: ReplicaState, stream: Stream, in_flight: float) -> ReplicaState:
    """Requests beyond the batch wait for a place: Little's law gives the whole time from the rate."""
    served_per_s = state.throughput_tokens_per_s / stream.output_tokens
    queued_s = in_flight / served_per_s - state.residence_s
    return replace(state, ttft_s=state.ttft_s + queued_s) if queued_s > 1e-6 * state.residence_s else state


def _estimate(question: _Question, layout: Layout, judged: _Judged) -> Estimate:
    model, timed = question.model, judged.timed
    rates = rates_of(question.gpu, question.engine)
    served = not rates.engine.measured_offline and judged.state.batch >= SERVED_BATCH
    group, known = layout_class(model, layout, served=served), model.known_architecture
    decode = timed.decode
    return Estimate(
        throughput_tokens_per_s=band(judged.throughput_tokens_per_s, "throughput", group, known=known),
        ttft_s=band(timed.ttft_s, "ttft", group, known=known),
        tpot_s=band(timed.tpot_s, "tpot", group, known=known),
        batch=max(1, round(timed.batch)),
        all_reduce_share=decode.all_reduce_s / decode.total_s if decode.total_s else 0.0,
        all_reduces_per_token=all_reduces_per_token(model, layout),
        bottleneck=_bottleneck(timed, judged.limit, layout),
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

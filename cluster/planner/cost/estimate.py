"""Time and throughput of a whole layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import MeasuredLink
from cluster.planner.cost.all_reduces import all_reduces_per_token
from cluster.planner.cost.band import band, layout_class
from cluster.planner.cost.batch import BatchLimit, attention_ranks, batch_limit, largest_within
from cluster.planner.cost.collective import link_for
from cluster.planner.cost.pipeline import Replica
from cluster.planner.cost.precision import kv_bytes_per_element
from cluster.planner.cost.rates import Rates, rates_of
from cluster.planner.cost.roofline import Group
from cluster.planner.cost.steady_state import ReplicaState, Stream, steady_state
from cluster.planner.cost.topology import Topology
from cluster.planner.cost.work import StageWork, WorkKey, stage_work, work_key
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout, StageRange
from cluster.planner.request import PlanRequest
from cluster.planner.result import Estimate

_works: IdentityCache[StageWork] = IdentityCache()


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

    `kv_tokens` is one replica's room. Concurrency is the request's, spread over the replicas, or else the
    largest batch that KV room, max_num_seqs and the limits on TTFT and TPOT allow. Without a concurrency the
    objective 'latency' takes TTFT and TPOT at one request at a time.
    """
    rates = rates_of(gpu, engine.name)
    replica = make_replica(model, layout, stages, gpu, topology, request, rates, measured_links)
    stream = Stream(
        input_tokens=max(1, request.input_tokens),
        output_tokens=max(1, request.output_tokens),
        token_budget=request.max_num_batched_tokens or engine.default_max_num_batched_tokens,
    )
    limit = batch_limit(layout, engine, rates.engine, request, stream, kv_tokens)
    state = largest_within(lambda batch: steady_state(replica, stream, batch), limit.batch, request)
    busy = float(layout.num_replicas)
    if request.concurrency is not None:
        busy = min(busy, float(request.concurrency))
    alone = request.objective == "latency" and request.concurrency is None
    timed = steady_state(replica, stream, 1.0) if alone else state
    if request.concurrency is not None:
        timed = _with_queue(timed, stream, request.concurrency / busy)
    group, known = layout_class(model, layout), model.known_architecture
    slowest = timed.decode.slowest
    return Estimate(
        throughput_tokens_per_s=band(busy * state.throughput_tokens_per_s, "throughput", group, known=known),
        ttft_s=band(timed.ttft_s, "ttft", group, known=known),
        tpot_s=band(timed.tpot_s, "tpot", group, known=known),
        batch=max(1, round(timed.batch)),
        all_reduce_share=slowest.all_reduce_s / slowest.total_s if slowest.total_s else 0.0,
        all_reduces_per_token=all_reduces_per_token(model, layout),
        bottleneck=_bottleneck(timed, limit, layout),
    )


def make_replica(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    gpu: GpuSpec,
    topology: Topology,
    request: PlanRequest,
    rates: Rates,
    measured_links: Sequence[MeasuredLink] = (),
) -> Replica:
    """Gather the work, links and rates of one replica; work sums are remembered a model and layout shape."""
    ranks = attention_ranks(layout)
    kv_bytes = kv_bytes_per_element(model, request)
    native = frozenset(gpu.flops_per_s)
    works = tuple(_work(model, work_key(stage, layout.tp, layout.ep, kv_bytes, native)) for stage in stages)
    expert_kind = "network" if layout.ep > topology.gpus_per_node else topology.tp_link
    if topology.tp_link == "nvlink_domain" or (topology.tp_link == "none" and layout.ep > 1):
        expert_kind = "nvlink" if topology.tp_link == "none" else topology.tp_link
    stage_kind = "network" if topology.pp_crosses_node else _inside(topology, gpu)
    return Replica(
        stages=works,
        group=Group(
            tp=layout.tp,
            tp_link=link_for(topology.tp_link, layout.tp, gpu, topology, measured_links),
            expert_ranks=layout.ep,
            expert_link=link_for(expert_kind, layout.ep, gpu, topology, measured_links)
            if ranks > 1
            else None,
            attention_ranks=ranks,
        ),
        rates=rates,
        stage_link=link_for(stage_kind, 2, gpu, topology, measured_links) if layout.pp > 1 else None,
    )


def _work(model: ModelSpec, key: WorkKey) -> StageWork:
    """Remember sums by where a stage starts, and share one among stages of the same kinds of layer."""

    def alike() -> StageWork:
        kinds = frozenset(Counter(map(id, model.layers[key.first : key.end])).items())
        shape = (kinds, replace(key, first=0, end=key.end - key.first))
        return _works.get(model, shape, lambda: stage_work(model, key))

    return _works.get(model, key, alike)


def _inside(topology: Topology, gpu: GpuSpec) -> str:
    if topology.tp_link in ("nvlink", "nvlink_domain", "pcie"):
        return topology.tp_link
    return "nvlink" if gpu.nvlink_bytes_per_s and gpu.nvlink_topology == "nvswitch" else "pcie"


def _with_queue(state: ReplicaState, stream: Stream, in_flight: float) -> ReplicaState:
    """Requests beyond the batch wait for a place: Little's law gives the whole time from the rate."""
    served_per_s = state.throughput_tokens_per_s / stream.output_tokens
    queued_s = max(0.0, in_flight / served_per_s - state.residence_s)
    return replace(state, ttft_s=state.ttft_s + queued_s) if queued_s > state.residence_s * 1e-6 else state


def _bottleneck(state: ReplicaState, limit: BatchLimit, layout: Layout) -> str:
    slowest = state.decode.slowest
    if layout.pp > 1 and state.micro_batches < layout.pp:
        return "pipeline bubbles"
    if slowest.all_reduce_s > 0.4 * slowest.total_s:
        return "all-reduce"
    if limit.by == "KV room" and state.batch >= limit.batch > 1 and slowest.memory_s > slowest.compute_s:
        return "KV room"
    if state.host_bound:
        return "host"
    if slowest.fixed_s > max(slowest.memory_s, slowest.compute_s):
        return "launch overhead"
    return "compute" if slowest.compute_s > slowest.memory_s else "memory bandwidth"

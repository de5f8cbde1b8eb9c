"""Time of a layout: each class of replicas is estimated on its own hardware, then they are put together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from cluster.planner.cost import Topology, estimate
from cluster.planner.cost.topology import TpLink
from cluster.planner.memory import engine_limits
from cluster.planner.placement.classes import ReplicaClass
from cluster.planner.placement.form import Form
from cluster.planner.placement.machines import Machine
from cluster.planner.placement.replicas import ReplicaSet
from cluster.planner.placement.wide_chunks import Chunk
from cluster.planner.request import PlanRequest
from cluster.planner.result import Band, Estimate
from cluster.planner.search.context import Context
from cluster.planner.search.judge import Judgement

Share = tuple[ReplicaClass, Judgement, int]
"""So many replicas of a class, under the class's judgement."""


def estimate_shares(context: Context, form: Form, shares: Sequence[Share]) -> Estimate:
    """Predict the whole layout: throughputs add up, TTFT and TPOT are those of the slowest replicas."""
    total = sum(count for _, _, count in shares)
    return _together([_estimate_share(context, form, share, total) for share in shares])


def topology_of(context: Context, form: Form, replicas: ReplicaSet) -> Topology:
    """Return the links that one replica of this set runs over."""
    sites = [replicas.site(0, chunk) for chunk in range(form.num_chunks)]
    chunk_nodes = [{machine.node_of(spot) for spot in chunk} for machine, chunk in sites]
    nodes = set().union(*chunk_nodes)
    inside = replicas.slowest.link == "nvlink" and _one_domain(context, nodes)
    return Topology(
        tp_link=_tp_link(form, replicas, max(len(nodes) for nodes in chunk_nodes)),
        pp_crosses_node=form.pp > 1 and len(nodes) > 1 and not inside,
        network_bytes_per_s=_network_rate(context, nodes),
        gpus_per_node=_gpus_per_node(context, *sites[0]),
    )


def _one_domain(context: Context, nodes: Collection[int]) -> bool:
    domains = {context.cluster.nodes[node].nvlink_domain for node in nodes}
    return len(domains) == 1 and None not in domains


def _tp_link(form: Form, replicas: ReplicaSet, nodes_in_chunk: int) -> TpLink:
    if form.chunks_per_stage > 1 and not form.dp_attention:
        return "network"
    if form.chunk_gpus == 1:
        return "none"
    if any(pool.link == "network" for pool in replicas.pools):
        return "network"
    if replicas.slowest.link != "nvlink":
        return "pcie"
    return "nvlink_domain" if nodes_in_chunk > 1 else "nvlink"


def _gpus_per_node(context: Context, machine: Machine, chunk: Chunk) -> int:
    # The nodes of one NVLink domain count as one: its collectives do not leave NVLink.
    own = context.cluster.nodes[machine.node_of(chunk[0])]
    if own.nvlink_domain is None:
        return len(own.gpus)
    nodes = [context.cluster.nodes[node] for node in machine.nodes]
    return sum(len(node.gpus) for node in nodes if node.nvlink_domain == own.nvlink_domain)


def _network_rate(context: Context, nodes: Iterable[int]) -> float | None:
    rates = (context.cluster.nodes[node].network_bytes_per_s for node in nodes)
    known = [rate for rate in rates if rate is not None]
    return min(known) if known else None


def _estimate_share(context: Context, form: Form, share: Share, total: int) -> Estimate:
    replicas, judgement, count = share
    example = replicas.tightest
    pool = example.slowest
    return estimate(
        context.model,
        form.layout(count),
        judgement.stages,
        pool.spec,
        topology_of(context, form, example),
        context.engine,
        _request_of_share(context, judgement, pool.total_bytes, example, count, total),
        judgement.kv_tokens * form.dp_inside,
        context.cluster.measured_links,
    )


def _request_of_share(
    context: Context, judgement: Judgement, total_bytes: int, example: ReplicaSet, count: int, total: int
) -> PlanRequest:
    """Requests are spread evenly over replicas, and every replica starts with its engine's limits."""
    request = judgement.request
    limits = engine_limits(context.model, context.engine, request, total_bytes, example.slowest.spec)
    if request.concurrency is not None:
        request = replace(request, concurrency=max(1, round(request.concurrency * count / total)))
    return replace(
        request,
        max_num_seqs=limits.max_num_seqs,
        max_num_batched_tokens=limits.max_num_batched_tokens,
    )


def _together(parts: Sequence[Estimate]) -> Estimate:
    if len(parts) == 1:
        return parts[0]
    slowest = max(parts, key=lambda part: part.tpot_s.value)
    throughputs = [part.throughput_tokens_per_s for part in parts]
    return replace(
        slowest,
        throughput_tokens_per_s=Band(
            value=sum(band.value for band in throughputs),
            low=sum(band.low for band in throughputs),
            high=sum(band.high for band in throughputs),
        ),
        ttft_s=max((part.ttft_s for part in parts), key=lambda band: band.value),
    )

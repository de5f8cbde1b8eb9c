"""What a replica's ranks do in a step, and over which links; work sums are cached per model and shape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.cost.collective import Link, link_for
from cluster.planner.cost.rates import Rates, rates_of, slowed
from cluster.planner.cost.roofline import Group
from cluster.planner.cost.stage_sums import stage_work
from cluster.planner.cost.work import StageWork, WorkKey, work_key
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.replica import Replica, ReplicaLinks

_works: IdentityCache[StageWork] = IdentityCache()


@dataclass(frozen=True, slots=True)
class ReplicaWork:
    """One engine: its stages' work, its links, its rates."""

    stages: tuple[StageWork, ...]
    group: Group
    rates: Rates
    stage_link: Link | None
    """Between neighboring stages; None with one stage."""
    eager: bool = False
    """Without CUDA graphs."""


def replica_work(replica: Replica) -> ReplicaWork:
    """Return the work of a replica; all its stages are timed on the slowest of its GPU types."""
    gpu = replica.slowest
    layout, links, launch = replica.layout, replica.links, replica.launch
    rates = slowed(rates_of(gpu, replica.engine), replica.condition)
    native, kv_bytes = frozenset(rates.flops_per_s), launch.cache_element_bytes

    def link(kind: str, ranks: int) -> Link:
        return link_for(kind, ranks, gpu, links)

    ranks = layout.attention_ranks
    group = Group(
        tp=layout.tp,
        tp_link=link(links.tp_link, layout.tp),
        expert_ranks=layout.ep,
        expert_link=link(_expert_kind(layout, links, gpu), layout.ep) if ranks > 1 else None,
        attention_ranks=ranks,
        node_ranks=links.gpus_per_node,
    )
    stage_kind = "network" if links.pp_crosses_node else _inside(links, gpu)
    return ReplicaWork(
        stages=tuple(
            _work(replica.model, work_key(stage, layout.tp, layout.ep, kv_bytes, native))
            for stage in replica.stages
        ),
        group=group,
        rates=rates,
        stage_link=link(stage_kind, 2) if layout.pp > 1 else None,
        eager=launch.enforce_eager,
    )


def _work(model: ModelSpec, key: WorkKey) -> StageWork:
    """Return the cached sums of a stage; stages with the same kinds of layer share one entry."""

    def alike() -> StageWork:
        kinds = frozenset(Counter(map(id, model.layers[key.first : key.end])).items())
        shape = (kinds, replace(key, first=0, end=key.end - key.first))
        return _works.get(model, shape, lambda: stage_work(model, key))

    return _works.get(model, key, alike)


def _expert_kind(layout: Layout, links: ReplicaLinks, gpu: GpuSpec) -> str:
    if links.tp_link in ("nvlink_domain", "network"):
        return links.tp_link
    if layout.ep > links.gpus_per_node:
        return "network"
    return _inside(links, gpu)


def _inside(links: ReplicaLinks, gpu: GpuSpec) -> str:
    """Return the link between neighboring stages inside a node that have no TP group to take it from."""
    if links.tp_link in ("nvlink", "nvlink_domain", "pcie"):
        return links.tp_link
    return "nvlink" if gpu.nvlink_bytes_per_s and gpu.nvlink_topology == "nvswitch" else "pcie"

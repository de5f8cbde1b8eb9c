"""Gather a replica: its stages' work, its links, its rates. Work sums are remembered a model and shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import MeasuredLink
from cluster.planner.cost.batch import attention_ranks
from cluster.planner.cost.collective import Link, link_for
from cluster.planner.cost.pipeline import Replica
from cluster.planner.cost.rates import Rates
from cluster.planner.cost.roofline import Group
from cluster.planner.cost.stage_sums import stage_work
from cluster.planner.cost.topology import Topology
from cluster.planner.cost.work import StageWork, WorkKey, work_key
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout, StageRange

_works: IdentityCache[StageWork] = IdentityCache()


def make_replica(
    model: ModelSpec,
    layout: Layout,
    stages: Sequence[StageRange],
    gpu: GpuSpec,
    topology: Topology,
    kv_bytes: float,
    rates: Rates,
    measured_links: Sequence[MeasuredLink] = (),
) -> Replica:
    """Return one replica of `layout`; `kv_bytes` is the size of a cached element."""
    native = frozenset(gpu.flops_per_s)

    def link(kind: str, ranks: int) -> Link:
        return link_for(kind, ranks, gpu, topology, measured_links)

    ranks = attention_ranks(layout)
    group = Group(
        tp=layout.tp,
        tp_link=link(topology.tp_link, layout.tp),
        expert_ranks=layout.ep,
        expert_link=link(_expert_kind(layout, topology, gpu), layout.ep) if ranks > 1 else None,
        attention_ranks=ranks,
        node_ranks=topology.gpus_per_node,
    )
    stage_kind = "network" if topology.pp_crosses_node else _inside(topology, gpu)
    return Replica(
        stages=tuple(
            _work(model, work_key(stage, layout.tp, layout.ep, kv_bytes, native)) for stage in stages
        ),
        group=group,
        rates=rates,
        stage_link=link(stage_kind, 2) if layout.pp > 1 else None,
    )


def _work(model: ModelSpec, key: WorkKey) -> StageWork:
    """Remember sums by where a stage starts, and share one among stages of the same kinds of layer."""

    def alike() -> StageWork:
        kinds = frozenset(Counter(map(id, model.layers[key.first : key.end])).items())
        shape = (kinds, replace(key, first=0, end=key.end - key.first))
        return _works.get(model, shape, lambda: stage_work(model, key))

    return _works.get(model, key, alike)


def _expert_kind(layout: Layout, topology: Topology, gpu: GpuSpec) -> str:
    if topology.tp_link in ("nvlink_domain", "network"):
        return topology.tp_link
    if layout.ep > topology.gpus_per_node:
        return "network"
    return _inside(topology, gpu)


def _inside(topology: Topology, gpu: GpuSpec) -> str:
    """The link between neighbours in a node where no TP group says it."""
    if topology.tp_link in ("nvlink", "nvlink_domain", "pcie"):
        return topology.tp_link
    return "nvlink" if gpu.nvlink_bytes_per_s and gpu.nvlink_topology == "nvswitch" else "pcie"

"""Apply a fix to the model, the cluster and the request of a plan."""

from __future__ import annotations

from dataclasses import replace

from cluster.catalog.engine_catalog import load_engine
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.fixes.fix import Fix, FreeMemory, GpuToFree, Hardware, LargerCluster, MoreGpus
from cluster.planner.fixes.larger_clusters import with_more_gpus, with_nodes
from cluster.planner.placement.survey import survey_cluster
from cluster.planner.search.context import Context
from cluster.planner.variants import stored_as


def after(context: Context, fix: Fix) -> Context:
    """Return the context with a fix's change applied; the fix's layout is ignored."""
    asked = fix.change.asked(context.request)
    engine = context.engine
    if (asked.engine, asked.engine_version) != (context.request.engine, context.request.engine_version):
        engine = load_engine(asked.engine, asked.engine_version)
    changed = replace(context, request=asked, engine=engine, model=model_after(context.model, fix))
    if fix.hardware is None:
        return changed
    cluster = cluster_after(context.cluster, fix.hardware)
    return replace(changed, cluster=cluster, survey=survey_cluster(cluster))


def model_after(model: ModelSpec, fix: Fix) -> ModelSpec:
    """Return the model with the weights of a fix."""
    return model if fix.weights is None else stored_as(model, fix.weights.variant)


def cluster_after(cluster: Cluster, hardware: Hardware | None) -> Cluster:
    """Return the cluster with a fix's memory freed or GPUs added."""
    match hardware:
        case None:
            return cluster
        case FreeMemory(gpus=gpus):
            return _freed(cluster, gpus)
        case MoreGpus(num_gpus=count):
            return with_more_gpus(cluster, count)
        case LargerCluster(num_nodes=nodes, gpus_per_node=size):
            return with_nodes(cluster, nodes, size)


def _freed(cluster: Cluster, gpus: tuple[GpuToFree, ...]) -> Cluster:
    wanted = {(gpu.node_id, gpu.gpu_index): gpu for gpu in gpus}
    nodes = tuple(_freed_node(node, wanted) for node in cluster.nodes)
    return cluster.model_copy(update={"nodes": nodes})


def _freed_node(node: Node, wanted: dict[tuple[str, int], GpuToFree]) -> Node:
    if not any((node.node_id, gpu.index) in wanted for gpu in node.gpus):
        return node
    gpus = tuple(_freed_gpu(gpu, wanted.get((node.node_id, gpu.index))) for gpu in node.gpus)
    return node.model_copy(update={"gpus": gpus})


def _freed_gpu(gpu: Gpu, wanted: GpuToFree | None) -> Gpu:
    if wanted is None:
        return gpu
    stopped = sum(process.memory_bytes or 0 for process in wanted.processes)
    free = (gpu.memory_free_bytes or 0) + max(stopped, wanted.missing_bytes)
    changes = {
        "memory_free_bytes": min(free, gpu.memory_total_bytes or free),
        "processes": tuple(process for process in gpu.processes if process not in wanted.processes),
        "claimed_by": gpu.claimed_by if wanted.claimed_by is None else None,
    }
    return gpu.model_copy(update=changes)

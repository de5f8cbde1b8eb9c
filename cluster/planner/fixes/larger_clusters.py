"""Variants of the cluster: without other tenants, or with more GPUs of its types."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.fixes.fix import LargerCluster

_MOST_GPUS_PER_NODE = 8
_BUSY = "busy"
_NODE_SIZES = (2, 4, _MOST_GPUS_PER_NODE)
_NODE_COUNTS = (2, 3, 4, 6, 8, 12, 16)


def without_tenants(cluster: Cluster) -> Cluster | None:
    """Return the cluster with every usable GPU free; None when nothing would change."""
    nodes = tuple(_empty_node(node) for node in cluster.nodes)
    return None if nodes == cluster.nodes else cluster.model_copy(update={"nodes": nodes})


def larger_clusters(cluster: Cluster) -> Iterator[LargerCluster]:
    """Yield larger clusters, smallest addition first: a fuller node, then more nodes like the largest one."""
    node = largest_node(cluster)
    if node is None:
        return
    kind = node.gpus[0].type
    usable = sum(gpu.usable for gpu in node.gpus)
    for size in _NODE_SIZES:
        if size > usable:
            yield LargerCluster(1, size, kind)
    full = max(len(node.gpus), _MOST_GPUS_PER_NODE)
    for num_nodes in _NODE_COUNTS:
        if num_nodes * full > cluster.num_gpus:
            yield LargerCluster(num_nodes, full, kind)


def largest_node(cluster: Cluster) -> Node | None:
    """Return the node with the most GPUs; None if there is no GPU."""
    node = max(cluster.nodes, key=lambda node: len(node.gpus), default=None)
    return node if node is not None and node.gpus else None


def with_nodes(cluster: Cluster, num_nodes: int, gpus_per_node: int) -> Cluster:
    """Return a cluster of this many free nodes like the largest one, with so many GPUs each."""
    node = largest_node(cluster)
    if node is None:
        return cluster
    full = _resized(_empty_node(node), gpus_per_node)
    nodes = (full,) if num_nodes == 1 else tuple(_copied(full, number) for number in range(num_nodes))
    return cluster.model_copy(update={"nodes": nodes})


def with_more_gpus(cluster: Cluster, num_gpus: int) -> Cluster:
    """Return the cluster with this many free GPUs added, in nodes like its largest one."""
    node = largest_node(cluster)
    if node is None:
        return cluster
    free, size = _empty_node(node), len(node.gpus)
    sizes = [size] * (num_gpus // size) + ([num_gpus % size] if num_gpus % size else [])
    names = (f"added-{number}" for number in count())
    added = tuple(_renamed(_resized(free, gpus), next(names)) for gpus in sizes)
    return cluster.model_copy(update={"nodes": (*cluster.nodes, *added)})


def _empty_node(node: Node) -> Node:
    gpus = tuple(_empty_gpu(gpu) for gpu in node.gpus)
    return node if gpus == node.gpus else node.model_copy(update={"gpus": gpus})


def _empty_gpu(gpu: Gpu) -> Gpu:
    total, free = gpu.memory_total_bytes, gpu.memory_free_bytes
    # Without a reading, nobody is known to use the memory.
    if not gpu.usable or total is None or free is None:
        return gpu
    if gpu.claimed_by is None and free == total:
        return gpu
    # Keep a millionth of the used memory as used, so that GPUs with the least to free are preferred.
    changes = {"memory_free_bytes": total - ((total - free) >> 20), "claimed_by": None, "processes": ()}
    return gpu.model_copy(update=changes | ({"health": None} if _is_only_busy(gpu) else {}))


def _is_only_busy(gpu: Gpu) -> bool:
    """True if nothing is wrong with a GPU but the work of the tenants who leave it."""
    return gpu.health is not None and {finding.code for finding in gpu.health.findings} == {_BUSY}


def _resized(node: Node, size: int) -> Node:
    """The node with `size` sound GPUs like its first usable one, reached over the same links."""
    first = next((gpu for gpu in node.gpus if gpu.usable), node.gpus[0])
    first = first.model_copy(update={"health": None})
    gpus = tuple(
        first.model_copy(update={"index": index, "uuid": f"{first.uuid}-{index}"}) for index in range(size)
    )
    return node.model_copy(update={"gpus": gpus, "nvlink_domain": None})


def _copied(node: Node, number: int) -> Node:
    return _renamed(node, str(number))


def _renamed(node: Node, suffix: str) -> Node:
    gpus = tuple(gpu.model_copy(update={"uuid": f"{gpu.uuid}-{suffix}"}) for gpu in node.gpus)
    changes = {"node_id": f"{node.node_id}-{suffix}", "name": f"{node.name}-{suffix}", "gpus": gpus}
    return node.model_copy(update=changes)

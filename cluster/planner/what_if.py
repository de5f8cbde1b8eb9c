"""The cluster as it could be: emptied of other tenants, or with more GPUs of the kinds it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.inventory import Cluster, Gpu, Node

_MOST_GPUS_A_NODE = 8
_MOST_NODES = 16


@dataclass(frozen=True, slots=True)
class Larger:
    """A cluster with more GPUs, and how to say it."""

    words: str
    cluster: Cluster


def emptied(cluster: Cluster) -> Cluster | None:
    """Return the cluster with every healthy GPU free; None when nothing would change."""
    nodes = tuple(_empty_node(node) for node in cluster.nodes)
    return None if nodes == cluster.nodes else cluster.model_copy(update={"nodes": nodes})


def enlarged(cluster: Cluster) -> Iterator[Larger]:
    """Yield larger clusters, the least addition first: fuller nodes, then more nodes like the largest one."""
    node = max(cluster.nodes, key=lambda node: len(node.gpus), default=None)
    if node is None or not node.gpus:
        return
    model = _empty_node(node)
    kind = model.gpus[0].type
    healthy = sum(gpu.unhealthy_reason is None for gpu in model.gpus)
    for size in (2, 4, _MOST_GPUS_A_NODE):
        if size > healthy:
            filled = _resized(model, size)
            words = f"{size} x {kind} in one node"
            yield Larger(words, cluster.model_copy(update={"nodes": (filled,)}))
    full = _resized(model, max(len(model.gpus), _MOST_GPUS_A_NODE))
    for num_nodes in (2, 3, 4, 6, 8, 12, _MOST_NODES):
        if num_nodes * len(full.gpus) > cluster.num_gpus:
            nodes = tuple(_copied(full, number) for number in range(num_nodes))
            words = f"{num_nodes} nodes of {len(full.gpus)} x {kind}"
            yield Larger(words, cluster.model_copy(update={"nodes": nodes}))


def _empty_node(node: Node) -> Node:
    gpus = tuple(_empty_gpu(gpu) for gpu in node.gpus)
    return node if gpus == node.gpus else node.model_copy(update={"gpus": gpus})


def _empty_gpu(gpu: Gpu) -> Gpu:
    total, free = gpu.memory_total_bytes, gpu.memory_free_bytes
    # What was not read is not known to be held by anybody.
    if gpu.unhealthy_reason is not None or total is None or free is None:
        return gpu
    if gpu.claimed_by is None and free == total:
        return gpu
    # Among emptied GPUs those that had least to empty go first: a millionth of what was used stays used.
    changes = {"memory_free_bytes": total - ((total - free) >> 20), "claimed_by": None, "processes": ()}
    return gpu.model_copy(update=changes)


def _resized(node: Node, size: int) -> Node:
    """The node with `size` GPUs like its first one, reached over the same links."""
    first = next((gpu for gpu in node.gpus if gpu.unhealthy_reason is None), node.gpus[0])
    gpus = tuple(
        first.model_copy(update={"index": index, "uuid": f"{first.uuid}-{index}"}) for index in range(size)
    )
    return node.model_copy(update={"gpus": gpus, "nvlink_domain": None})


def _copied(node: Node, number: int) -> Node:
    name = f"{node.name}-{number}"
    gpus = tuple(gpu.model_copy(update={"uuid": f"{gpu.uuid}-{number}"}) for gpu in node.gpus)
    return node.model_copy(update={"node_id": f"{node.node_id}-{number}", "name": name, "gpus": gpus})

"""The cluster as it is now: inventory, readings and our deployments combined. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.deploy.status import DeploymentState
from cluster.inventory import Cluster, Gpu, Node
from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB
from tui.store import SILENT_STATES, Snapshot


def current_cluster(snapshot: Snapshot) -> Cluster | None:
    """Return the cluster as it is now: latest free memory, without silent nodes, our GPUs claimed."""
    cluster = snapshot.cluster
    if cluster is None:
        return None
    held = held_gpus(snapshot)
    nodes = tuple(
        _claimed_node(_current_node(node, snapshot.readings.get(node.node_id)), held)
        for node in cluster.nodes
    )
    newest = max((reading.taken_at_s for reading in snapshot.readings.values()), default=cluster.taken_at_s)
    return cluster.model_copy(update={"nodes": nodes, "taken_at_s": newest})


def held_gpus(snapshot: Snapshot) -> dict[str, str]:
    """Map the GPUs of our deployments to their names: known at once, while the inventory lags behind."""
    return {
        rank.gpu_uuid: status.name
        for status in snapshot.deployments
        if status.state is not DeploymentState.FAILED
        for rank in status.ranks
    }


def _claimed_node(node: Node, held: Mapping[str, str]) -> Node:
    if not any(gpu.uuid in held and gpu.claimed_by is None for gpu in node.gpus):
        return node
    gpus = tuple(
        gpu.model_copy(update={"claimed_by": held[gpu.uuid]})
        if gpu.uuid in held and gpu.claimed_by is None
        else gpu
        for gpu in node.gpus
    )
    return node.model_copy(update={"gpus": gpus})


def _current_node(node: Node, reading: NodeReading | None) -> Node:
    if reading is None:
        return node
    if reading.state in SILENT_STATES:
        reason = f"{node.name} is {reading.state}" + (f": {reading.reason}" if reading.reason else "")
        gpus = tuple(gpu.model_copy(update={"unhealthy_reason": reason}) for gpu in node.gpus)
    else:
        by_uuid = {item.uuid: item for item in reading.gpus}
        gpus = tuple(_current_gpu(gpu, by_uuid.get(gpu.uuid)) for gpu in node.gpus)
    return node.model_copy(update={"gpus": gpus})


def _current_gpu(gpu: Gpu, reading: GpuReading | None) -> Gpu:
    if reading is None:
        return gpu
    changes: dict[str, object] = {}
    if reading.memory_free_bytes is not None:
        changes["memory_free_bytes"] = reading.memory_free_bytes
    if reading.memory_total_bytes is not None:
        changes["memory_total_bytes"] = reading.memory_total_bytes
    if reading.error is None and "processes" not in reading.absent:
        changes["processes"] = reading.processes
    if reading.error:
        changes["unhealthy_reason"] = reading.error
    return gpu.model_copy(update=changes)


def without_deployments(cluster: Cluster, snapshot: Snapshot) -> Cluster:
    """Return the cluster as it would be without our deployments."""
    planned = {
        rank.gpu_uuid: status.planned_bytes_by_gpu.get(rank.gpu_uuid, 0)
        for status in snapshot.deployments
        for rank in status.ranks
    }
    nodes = tuple(
        node.model_copy(update={"gpus": tuple(_freed_gpu(gpu, planned) for gpu in node.gpus)})
        for node in cluster.nodes
    )
    return cluster.model_copy(update={"nodes": nodes})


def _freed_gpu(gpu: Gpu, planned: Mapping[str, int]) -> Gpu:
    if gpu.uuid not in planned:
        return gpu
    free = gpu.memory_free_bytes
    if free is not None and gpu.memory_total_bytes is not None:
        free = min(gpu.memory_total_bytes, free + planned[gpu.uuid])
    return gpu.model_copy(update={"claimed_by": None, "memory_free_bytes": free, "processes": ()})


def moved_gpus(planned_on: Cluster, snapshot: Snapshot) -> int:
    """Count GPUs whose free memory changed by a GiB or more since a plan, except our deployments'."""
    ours = {rank.gpu_uuid for status in snapshot.deployments for rank in status.ranks}
    free_now = {
        gpu.uuid: gpu.memory_free_bytes for reading in snapshot.readings.values() for gpu in reading.gpus
    }
    moved = 0
    for node in planned_on.nodes:
        for gpu in node.gpus:
            now = free_now.get(gpu.uuid)
            if gpu.uuid in ours or now is None or gpu.memory_free_bytes is None:
                continue
            moved += abs(now - gpu.memory_free_bytes) >= GIB
    return moved

"""Clusters that a spec cannot describe: occupied, damaged, measured, sliced. Written as snapshot files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, Gpu, GpuProcess, MeasuredLink, MeasuredRate, Node
from cluster.snapshot import save_cluster

GIB = 1024**3

GpuChange = Callable[[Gpu], Gpu]


def _changed(spec: str, change: GpuChange) -> Cluster:
    cluster = parse_cluster_spec(spec)
    nodes = tuple(
        node.model_copy(update={"gpus": tuple(change(gpu) for gpu in node.gpus)}) for node in cluster.nodes
    )
    return cluster.model_copy(update={"nodes": nodes})


def _occupied() -> Cluster:
    """Every second GPU holds somebody's 30 GiB process."""

    def occupy(gpu: Gpu) -> Gpu:
        if gpu.index % 2 == 0 or gpu.memory_total_bytes is None:
            return gpu
        process = GpuProcess(pid=1000 + gpu.index, name="python3", memory_bytes=30 * GIB)
        return gpu.model_copy(
            update={"memory_free_bytes": gpu.memory_total_bytes - 30 * GIB, "processes": (process,)}
        )

    return _changed("2x8xH100", occupy)


def _damaged() -> Cluster:
    """Some GPUs are unhealthy, claimed by a deployment, or could not be read."""

    def damage(gpu: Gpu) -> Gpu:
        changes = {
            1: {"unhealthy_reason": "row remapping failed"},
            2: {"claimed_by": "another-deployment"},
            3: {"memory_free_bytes": None},
        }
        return gpu.model_copy(update=changes.get(gpu.index, {}))

    return _changed("2x8xA100-80GB", damage)


def _no_links() -> Cluster:
    """The same GPUs without NVLink between them."""
    return _changed("8xA100-80GB", lambda gpu: gpu.model_copy(update={"nvlink_island": None}))


def _two_islands() -> Cluster:
    """Two NVLink islands of four GPUs in one node."""
    return _changed(
        "2x8xH100", lambda gpu: gpu.model_copy(update={"nvlink_island": f"nvlink-{gpu.index // 4}"})
    )


def _measured() -> Cluster:
    """Links and rates measured on the cluster itself, and a slow network."""
    cluster = parse_cluster_spec("2x8xH100")
    nodes: tuple[Node, ...] = tuple(
        node.model_copy(update={"network_bytes_per_s": 12.5e9}) for node in cluster.nodes
    )
    links = (
        MeasuredLink(scope="node", num_ranks=8, latency_s=2e-5, bandwidth_bytes_per_s=3.5e11),
        MeasuredLink(scope="cross_node", num_ranks=16, latency_s=6e-5, bandwidth_bytes_per_s=4e10),
    )
    rates = (MeasuredRate(gpu_type="H100", memory_bytes_per_s=2.6e12, flops_per_s={"bf16": 6.2e14}),)
    return cluster.model_copy(update={"nodes": nodes, "measured_links": links, "measured_rates": rates})


def _slices() -> Cluster:
    """MIG slices of two parents."""

    def slice_(gpu: Gpu) -> Gpu:
        return gpu.model_copy(
            update={
                "memory_total_bytes": 20 * GIB,
                "memory_free_bytes": 19 * GIB,
                "mig_parent_uuid": f"GPU-parent-{gpu.index // 4}",
                "nvlink_island": None,
            }
        )

    return _changed("8xA100-80GB", slice_)


SNAPSHOTS = {
    "occupied": _occupied,
    "damaged": _damaged,
    "no-links": _no_links,
    "two-islands": _two_islands,
    "measured": _measured,
    "slices": _slices,
}


def write_snapshots(folder: Path) -> dict[str, str]:
    """Write every snapshot into `folder`; return the path of each by name."""
    paths = {name: folder / f"{name}.json" for name in SNAPSHOTS}
    for name, make in SNAPSHOTS.items():
        save_cluster(make(), paths[name])
    return {name: str(path) for name, path in paths.items()}

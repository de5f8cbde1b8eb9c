"""Which GPUs are measured, and in which groups."""

from __future__ import annotations

from cluster.calibration.groups import free_spots, groups_among
from cluster.cluster_spec import parse_cluster_spec
from cluster.gpu_health import Finding, Health
from cluster.inventory import Cluster, GpuProcess


def groups_of(spec: str) -> list[tuple[str, str, int]]:
    spots, _ = free_spots(parse_cluster_spec(spec))
    return [(group.kind, group.gpu_type, len(group.members)) for group in groups_among(spots)]


def with_gpu(cluster: Cluster, index: int, **fields: object) -> Cluster:
    first, *others = cluster.nodes
    gpus = tuple(gpu.model_copy(update=fields) if gpu.index == index else gpu for gpu in first.gpus)
    return cluster.model_copy(update={"nodes": (first.model_copy(update={"gpus": gpus}), *others)})


def test_one_node_with_a_switch_and_one_without() -> None:
    assert groups_of("8xH100") == [("nvlink", "H100", 2), ("nvlink", "H100", 4), ("nvlink", "H100", 8)]
    assert groups_of("4xL4") == [("pcie", "L4", 2), ("pcie", "L4", 4)]
    assert groups_of("1xL4") == []


def test_beyond_an_island_the_slow_link_is_measured() -> None:
    cluster = parse_cluster_spec("4xA100-80GB")
    for index, island in ((0, "a"), (1, "a"), (2, "b"), (3, "b")):
        cluster = with_gpu(cluster, index, nvlink_island=island)
    spots, _ = free_spots(cluster)
    found = [(group.kind, group.members) for group in groups_among(spots)]
    assert found == [("nvlink", (0, 1)), ("pcie", (0, 1, 2, 3))]


def test_across_nodes_and_types() -> None:
    assert groups_of("2x2xL4,1x2xT4") == [
        ("pcie", "L4", 2),
        ("network", "L4", 2),
        ("network", "L4", 4),
        ("pcie", "T4", 2),
    ]
    assert ("network", "H100", 32) in groups_of("4x8xH100")


def test_a_large_cluster_is_measured_in_part() -> None:
    spots, skipped = free_spots(parse_cluster_spec("100x16xH100"))
    assert len(spots) == 32 and len({spot.node_id for spot in spots}) == 4 and skipped == []


def test_gpus_in_use_are_left_out_and_named() -> None:
    cluster = parse_cluster_spec("7xL4")
    total = cluster.nodes[0].gpus[0].memory_total_bytes
    assert total is not None
    cluster = with_gpu(cluster, 0, claimed_by="llama")
    cluster = with_gpu(cluster, 1, processes=(GpuProcess(pid=7, name="python"),))
    cluster = with_gpu(cluster, 2, memory_free_bytes=total // 2)
    cluster = with_gpu(cluster, 3, unhealthy_reason="fell off the bus")
    hot = Health(state="degraded", findings=(Finding(code="hot", state="degraded", text="hot: 95 C"),))
    cluster = with_gpu(cluster, 5, health=hot)
    cluster = with_gpu(cluster, 6, excluded_reason="not in CUDA_VISIBLE_DEVICES")
    spots, skipped = free_spots(cluster)
    assert [spot.gpu_index for spot in spots] == [4]
    reasons = [line.partition(": ")[2] for line in skipped]
    assert reasons == [
        "in use by llama",
        "in use by python",
        "50% of its memory is in use",
        "fell off the bus",
        "degraded, so its rates are not those of its type: hot: 95 C",
        "not in CUDA_VISIBLE_DEVICES",
    ]

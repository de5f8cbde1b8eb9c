"""The probe's inventory of a machine, through the real binding and a fake driver library."""

from __future__ import annotations

import os

import pytest

from cluster.inventory import Gpu, Node
from cluster.probe.local import read_cluster
from cluster.units import GIB
from tests.cluster.probe.conftest import FakeNvml


def read(env: dict[str, str]) -> Node:
    cluster = read_cluster(timeout_s=40.0, env=env)
    assert cluster.taken_at_s is not None
    return cluster.nodes[0]


def islands(node: Node) -> list[list[int]]:
    names = sorted({gpu.nvlink_island for gpu in node.gpus if gpu.nvlink_island})
    return [[gpu.index for gpu in node.gpus if gpu.nvlink_island == name] for name in names]


def test_eight_gpus_on_a_switch(fake_nvml: FakeNvml) -> None:
    cluster = read_cluster(timeout_s=40.0, env=fake_nvml())
    node = cluster.nodes[0]
    assert (cluster.source, cluster.num_gpus, node.error) == ("nvml", 8, None)
    assert node.gpus[5] == Gpu(
        index=5,
        uuid="GPU-fake-5",
        type="A100-80GB",
        memory_total_bytes=80 * GIB,
        memory_free_bytes=77 * GIB,
        compute_capability=(8, 0),
        nvlink_island="nvlink-0",
        pci_bus_id="00000000:15:00.0",
        numa_node=node.gpus[5].numa_node,
        facts=node.gpus[5].facts,
    )
    assert islands(node) == [[0, 1, 2, 3, 4, 5, 6, 7]]


def test_cube_mesh_is_two_islands_of_four(fake_nvml: FakeNvml) -> None:
    """All eight are connected, but only within a group of four does each GPU link to every other."""
    assert islands(read(fake_nvml(nvlink="cube"))) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_islands_come_from_links_if_the_driver_does_not_report_them(fake_nvml: FakeNvml) -> None:
    assert islands(read(fake_nvml(nvlink="links"))) == [[0, 1], [2, 3, 4, 5, 6, 7]]


def test_no_nvlink_no_islands(fake_nvml: FakeNvml) -> None:
    assert islands(read(fake_nvml(nvlink="none"))) == []


def test_a_single_gpu_is_not_an_island(fake_nvml: FakeNvml) -> None:
    assert islands(read(fake_nvml(gpus=1))) == []


@pytest.mark.parametrize(("fabric", "domain"), [(1, f"{'ab' * 16}:7"), (2, None), (0, None)])
def test_nvlink_domain_only_of_a_fabric_that_is_ready(
    fake_nvml: FakeNvml, fabric: int, domain: str | None
) -> None:
    assert read(fake_nvml(fabric=fabric)).nvlink_domain == domain


def test_a_lost_gpu_does_not_hide_the_others(fake_nvml: FakeNvml) -> None:
    node = read(fake_nvml(lost=3))
    lost = node.gpus[3]
    assert "lost" in (lost.unhealthy_reason or "")
    assert (lost.memory_total_bytes, lost.memory_free_bytes, lost.nvlink_island) == (None, None, None)
    assert [gpu.healthy for gpu in node.gpus].count(True) == 7
    assert islands(node) == [[0, 1, 2, 4, 5, 6, 7]]


def test_an_old_driver_without_newer_symbols(fake_nvml: FakeNvml) -> None:
    node = read(fake_nvml(driver="old", pid=os.getpid()))
    assert node.gpus[0].memory_free_bytes == 77 * GIB
    assert node.gpus[0].processes[0].memory_bytes == 2 * GIB


def test_mig_slices_replace_their_gpu(fake_nvml: FakeNvml) -> None:
    node = read(fake_nvml(gpus=2, mig=0))
    first, second, whole = node.gpus
    assert (first.index, second.index, whole.index) == (1000, 1002, 1)
    assert (first.uuid, first.mig_parent_uuid) == ("MIG-fake-0-0", "GPU-fake-0")
    assert first.memory_total_bytes == 20 * GIB
    assert first.nvlink_island is None
    assert whole.mig_parent_uuid is None


def test_mig_mode_without_an_instance_is_not_a_whole_gpu(fake_nvml: FakeNvml) -> None:
    node = read(fake_nvml(gpus=2, mig_empty=0))
    empty, whole = node.gpus
    assert (empty.index, empty.uuid, empty.type) == (0, "GPU-fake-0", "A100-80GB")
    assert "no MIG instance, so CUDA cannot use it" in (empty.unhealthy_reason or "")
    assert whole.healthy


def test_a_gpu_that_needs_repair_is_unhealthy(fake_nvml: FakeNvml) -> None:
    node = read(fake_nvml(broken_rows=5))
    assert [gpu.index for gpu in node.gpus if not gpu.healthy] == [5]
    assert "repair" in (node.gpus[5].unhealthy_reason or "")


@pytest.mark.parametrize(
    ("code", "words"),
    [(9, "not loaded"), (18, "differ in version"), (12, "no NVIDIA driver"), (999, "unknown driver error")],
)
def test_a_driver_that_cannot_be_used_says_why(fake_nvml: FakeNvml, code: int, words: str) -> None:
    cluster = read_cluster(timeout_s=40.0, env=fake_nvml(init=code))
    assert cluster.source == "none"
    assert words in (cluster.nodes[0].error or "")


def test_no_library_says_so() -> None:
    env = {**os.environ, "LD_LIBRARY_PATH": "/nonexistent"}
    cluster = read_cluster(timeout_s=40.0, env=env)
    if cluster.num_gpus:
        pytest.skip("this machine has a driver")
    assert cluster.source == "none"
    assert "libnvidia-ml.so.1" in (cluster.nodes[0].error or "")


def test_a_hostile_product_name_is_cleaned(fake_nvml: FakeNvml) -> None:
    hostile = b"\x1b]0;owned\x07[red]\x9b31mX\xe2\x80\xae[@click=app.quit]\xc2\x9b"
    gpu_type = read(fake_nvml(gpus=1, product=os.fsdecode(hostile))).gpus[0].type
    assert "[red]" in gpu_type
    assert "[@click=app.quit]" in gpu_type
    assert all(char.isprintable() for char in gpu_type)
    assert not set(gpu_type) & {"\x1b", "\x9b", "\u202e", "\x07"}


def test_an_unknown_product_keeps_its_name(fake_nvml: FakeNvml) -> None:
    assert read(fake_nvml(gpus=1, product="NVIDIA Z9000")).gpus[0].type == "NVIDIA Z9000"


def test_a_hanging_gpu_is_named_and_the_others_are_read(fake_nvml: FakeNvml) -> None:
    node = read_cluster(timeout_s=6.0, env=fake_nvml(hang="nvmlDeviceGetName:2")).nodes[0]
    assert "nvmlDeviceGetName on GPU 2 did not return" in (node.gpus[2].unhealthy_reason or "")
    assert [gpu.index for gpu in node.gpus if gpu.healthy] == [0, 1, 3, 4, 5, 6, 7]


def test_several_hanging_gpus_are_left_out_one_by_one(fake_nvml: FakeNvml) -> None:
    node = read_cluster(
        timeout_s=12.0, env=fake_nvml(hang="nvmlDeviceGetName:2", hang_too="nvmlDeviceGetName:4")
    )
    assert [gpu.index for gpu in node.nodes[0].gpus if gpu.healthy] == [0, 1, 3, 5, 6, 7]


def test_a_driver_that_hangs_at_once_is_given_up(fake_nvml: FakeNvml) -> None:
    cluster = read_cluster(timeout_s=3.0, env=fake_nvml(hang="nvmlInitWithFlags:-1"))
    assert cluster.source == "none"
    assert "nvmlInit (slow without nvidia-persistenced) did not return within" in (
        cluster.nodes[0].error or ""
    )


def test_a_crash_is_reported_with_its_call(fake_nvml: FakeNvml) -> None:
    cluster = read_cluster(timeout_s=40.0, env=fake_nvml(crash="nvmlDeviceGetCount_v2:-1"))
    assert "crashed (SIGSEGV) in nvmlDeviceGetCount" in (cluster.nodes[0].error or "")

"""AMD GPUs are read from the files of amdgpu and amdkfd, without any library."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cluster.detail import GpuDetail
from cluster.inventory import Node
from cluster.probe.amd import AmdReader, has_amd_gpus
from cluster.probe.naming import with_catalog_types
from tests.cluster.probe.amd_tree import GIB, MI300X_BYTES, PCIE, AmdTree, write


def reader(root: Path, **env: str) -> AmdReader:
    return AmdReader("node-id", "gpu-a", root=root, env=env)


def details(amd: AmdReader) -> tuple[GpuDetail, ...]:
    *_, last = amd.detail_steps()
    assert last is not None
    return last.gpus


def seen(root: Path) -> Node:
    return with_catalog_types(reader(root).read_inventory())


def test_a_node_of_mi300x_is_planned_on_as_such(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(8)
    node = seen(tmp_path)
    assert [gpu.type for gpu in node.gpus] == ["MI300X"] * 8
    assert {gpu.nvlink_island for gpu in node.gpus} == {"nvlink-0"}
    assert {gpu.vendor for gpu in node.gpus} == {"amd"}
    assert [gpu.numa_node for gpu in node.gpus] == [0, 0, 0, 0, 1, 1, 1, 1]
    first = node.gpus[0]
    assert first.uuid == "GPU-000000000000abc0"
    assert first.pci_bus_id == "0000:10:00.0"
    assert first.compute_capability == (9, 4)
    assert first.memory_total_bytes == MI300X_BYTES
    assert first.memory_free_bytes == MI300X_BYTES - 300 * 1024**2
    assert first.usable
    assert node.error is None


def test_every_figure_has_the_right_unit(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(2)
    amd = reader(tmp_path)
    (facts, *_), (now, *_) = [gpu.facts for gpu in amd.read_inventory().gpus], amd.read_now().gpus
    assert now.utilization_percent == 42
    assert now.memory_busy_percent == 7
    assert (now.temperature_c, now.memory_temperature_c) == (61, 52)
    assert (now.power_w, now.power_limit_w) == (312, 750)
    assert now.sm_clock_mhz == 1950
    assert facts is not None
    assert (facts.max_sm_clock_mhz, facts.slowdown_temperature_c, facts.shutdown_temperature_c) == (
        2100,
        100,
        105,
    )
    assert (facts.max_pcie_generation, facts.max_pcie_width, facts.num_nvlinks) == (5, 16, 1)


def test_what_is_absent_says_why(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(1)
    amd = reader(tmp_path)
    (gpu,) = amd.read_inventory().gpus
    (now,) = amd.read_now().gpus
    (detail,) = details(amd)
    for figures in (now, detail, gpu.facts):
        assert figures is not None
        missing = {name for name, value in figures if value is None and name != "error"}
        assert missing
        assert missing <= figures.absent.keys()


def test_slow_figures_hold_links_errors_and_retired_pages(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(4)
    amd = reader(tmp_path)
    amd.read_inventory()
    detail = details(amd)[0]
    assert (detail.pcie_generation, detail.pcie_width, detail.pcie_replays) == (5, 16, 3)
    assert (detail.ecc.volatile_corrected, detail.ecc.volatile_uncorrected) == (2, 0)
    assert (detail.retired_pages, detail.retirement_pending) == (1, True)
    assert [link.remote for link in detail.links] == ["0000:20:00.0", "0000:30:00.0", "0000:40:00.0"]
    assert {link.bytes_per_s for link in detail.links} == {64e9}


def test_gpus_without_xgmi_have_no_island(tmp_path: Path) -> None:
    tree = AmdTree(tmp_path).add(2)
    tree.link(0, 1, 1, kind=PCIE)
    tree.link(1, 0, 1, kind=PCIE)
    assert [gpu.nvlink_island for gpu in seen(tmp_path).gpus] == [None, None]


def test_processes_are_those_that_hold_memory_on_the_gpu(tmp_path: Path) -> None:
    tree = AmdTree(tmp_path).add(2)
    tree.process(4242, {0: 9 * GIB})
    tree.process(4243, {0: 11 * GIB, 1: GIB}, program="vllm")
    amd = reader(tmp_path)
    amd.read_inventory()
    held = [[(p.pid, p.name, p.memory_bytes) for p in gpu.processes] for gpu in amd.read_now().gpus]
    assert held == [[(4243, "vllm", 11 * GIB), (4242, "python3", 9 * GIB)], [(4243, "vllm", GIB)]]


@pytest.mark.parametrize(
    ("listed", "kind"),
    [("74A1,\t00,\tAMD Instinct MI300X\n", "AMD Instinct MI300X"), ("", "AMD GPU 1002:74a1")],
)
def test_a_board_without_a_name_is_known_by_its_pci_numbers(tmp_path: Path, listed: str, kind: str) -> None:
    AmdTree(tmp_path).add(1, product=None)
    write(tmp_path / "usr/share/libdrm/amdgpu.ids", f"# Syntax:\n1.0.0\n{listed}")
    assert reader(tmp_path).read_inventory().gpus[0].type == kind
    assert seen(tmp_path).gpus[0].type == "MI300X"


def test_an_unknown_product_keeps_its_name(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(1, product="AMD Instinct MI999")
    assert seen(tmp_path).gpus[0].type == "AMD Instinct MI999"


def test_a_gpu_without_memory_of_its_own_has_that_of_its_numa_node(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(1, memory_bytes=0, product="AMD Instinct MI300A")
    lines = ("Node 0 MemTotal: 134217728 kB", "Node 0 MemFree: 104857600 kB", "Node 0 Active(file): 1024 kB")
    write(tmp_path / "sys/devices/system/node/node0/meminfo", "\n".join(lines))
    (gpu,) = seen(tmp_path).gpus
    assert gpu.unified_memory
    assert gpu.memory_total_bytes == 128 * GIB
    assert gpu.memory_free_bytes == 100 * GIB + 1024**2


def test_a_partitioned_gpu_is_shown_once_and_left_out(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(2).partition(1)
    whole, cut = seen(tmp_path).gpus
    assert whole.usable
    assert not cut.usable
    assert "CPX" in (cut.excluded_reason or "")


def test_a_gpu_that_leaves_the_bus_keeps_its_identity(tmp_path: Path) -> None:
    tree = AmdTree(tmp_path).add(2)
    amd = reader(tmp_path)
    before = amd.read_inventory().gpus
    shutil.rmtree(tree.device(1))
    shutil.rmtree(tree.kfd / "topology/nodes/2")
    after = amd.read_inventory().gpus
    assert [gpu.uuid for gpu in after] == [gpu.uuid for gpu in before]
    assert after[0].healthy
    assert "PCI bus" in (after[1].unhealthy_reason or "")
    assert amd.read_now().gpus[1].error


def test_gpus_of_other_containers_do_not_exist(tmp_path: Path) -> None:
    """kfd lists their nodes and refuses to say what they are."""
    tree = AmdTree(tmp_path).add(2)
    write(tree.kfd / "topology/nodes/1/properties", "")
    assert [gpu.uuid for gpu in seen(tmp_path).gpus] == ["GPU-000000000000abc1"]


def test_a_skipped_gpu_is_not_touched(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(2)
    marks: list[int | None] = []
    amd = AmdReader("id", "n", root=tmp_path, skipped={0: "it hung"}, mark=lambda gpu, _: marks.append(gpu))
    node = amd.read_inventory()
    amd.read_now()
    details(amd)
    assert node.gpus[0].unhealthy_reason == "it hung"
    assert 0 not in marks
    assert 1 in marks


def test_without_kfd_the_cards_come_from_the_bus(tmp_path: Path) -> None:
    tree = AmdTree(tmp_path).add(2)
    shutil.rmtree(tree.kfd)
    for index in (0, 1):
        card = tmp_path / f"sys/class/drm/card{index}"
        card.mkdir(parents=True)
        (card / "device").symlink_to(tree.device(index))
        (tmp_path / f"sys/class/drm/card{index}-DP-1").mkdir()
    assert [gpu.pci_bus_id for gpu in seen(tmp_path).gpus] == ["0000:10:00.0", "0000:20:00.0"]


def test_a_machine_without_amd_gpus_says_so(tmp_path: Path) -> None:
    assert not has_amd_gpus(tmp_path)
    assert reader(tmp_path).read_inventory().error == "amdgpu shows no GPU"
    assert reader(tmp_path).read_now().state == "no_gpus"


@pytest.mark.parametrize("garbage", ["", "-1", "nan", "1e400", "9" * 400, "\x1b[2J", "0x10", "ue"])
def test_garbage_in_any_file_leaves_figures_out_and_ends_nothing(tmp_path: Path, garbage: str) -> None:
    tree = AmdTree(tmp_path).add(2)
    for path in tree.device(0).rglob("*"):
        if path.is_file():
            write(path, garbage)
    amd = reader(tmp_path)
    bad, good = amd.read_inventory().gpus
    assert good.healthy
    assert "\x1b" not in bad.type
    assert amd.read_now().gpus[1].temperature_c == 61
    assert len(details(amd)) == 2


@pytest.mark.parametrize(
    ("env", "usable"),
    [
        ({}, [0, 1, 2, 3]),
        ({"ROCR_VISIBLE_DEVICES": "2,3"}, [2, 3]),
        ({"ROCR_VISIBLE_DEVICES": "GPU-000000000000abc1"}, [1]),
        ({"HIP_VISIBLE_DEVICES": "0"}, [0]),
        ({"CUDA_VISIBLE_DEVICES": "1"}, [1]),
        ({"ROCR_VISIBLE_DEVICES": "1,2,3", "HIP_VISIBLE_DEVICES": "0"}, [1]),
        ({"HIP_VISIBLE_DEVICES": ""}, []),
    ],
)
def test_gpus_that_programs_may_not_use_are_not_planned_on(
    tmp_path: Path, env: dict[str, str], usable: list[int]
) -> None:
    AmdTree(tmp_path).add(4)
    node = reader(tmp_path, **env).read_inventory()
    assert [gpu.index for gpu in node.gpus if gpu.usable] == usable
    assert all("left out by" in (gpu.excluded_reason or "") for gpu in node.gpus if not gpu.usable)

"""Fixed figures of GPUs and of their node, through the real binding and a fake driver library."""

from __future__ import annotations

from cluster.gpu_facts import GpuFacts
from cluster.probe.local import read_cluster
from tests.cluster.probe.conftest import Control, FakeNvml

NOT_SUPPORTED = "not supported by this GPU"


def test_limits_versions_and_paths(fake_nvml: FakeNvml, control: Control) -> None:
    control.say(
        "set max_sm_clock 1 1980",
        "set default_power_limit_mw 1 700000",
        "set max_power_limit_mw 1 750000",
        "set max_pcie_generation 1 5",
        "set slowdown_temperature 1 -1",
        # A figure that cannot be right is no reason to give the GPU up.
        "set max_pcie_width 1 4000000000",
        # Three links are down, so three fewer join GPU 1 with the others.
        "set links_down 1 7",
    )
    node = read_cluster(timeout_s=40.0, env=fake_nvml(gpus=4, control=control.path)).nodes[0]
    assert node.gpus[1].healthy
    assert node.gpus[1].facts == GpuFacts(
        max_sm_clock_mhz=1980.0,
        max_memory_clock_mhz=1593.0,
        shutdown_temperature_c=95.0,
        max_memory_temperature_c=98.0,
        default_power_limit_w=700.0,
        max_power_limit_w=750.0,
        max_pcie_generation=5,
        num_nvlinks=12,
        absent={
            "slowdown_temperature_c": NOT_SUPPORTED,
            "max_pcie_width": "the driver reports an impossible value",
            "mig_profile": "not a MIG slice",
        },
    )
    assert node.facts is not None
    assert (node.facts.driver_version, node.facts.cuda_version) == ("550.163.01", "12.4")
    assert node.facts.devices[:4] == ("GPU0", "GPU1", "GPU2", "GPU3")
    assert [row[:4] for row in node.facts.paths[:4]] == [
        ("X", "NV9", "NV12", "NV12"),
        ("NV9", "X", "NV9", "NV9"),
        ("NV12", "NV9", "X", "NV12"),
        ("NV12", "NV9", "NV12", "X"),
    ]


def test_without_nvlink_paths_are_those_of_pcie(fake_nvml: FakeNvml) -> None:
    node = read_cluster(timeout_s=40.0, env=fake_nvml(nvlink="none", lost=2)).nodes[0]
    assert node.facts is not None
    first, lost = node.facts.paths[0], node.facts.paths[2]
    assert first[:8] == ("X", "PIX", "?", "PHB", "SYS", "SYS", "SYS", "SYS")
    assert set(lost[:8]) == {"?", "X"}
    assert "neither" in node.facts.absent["paths"]
    facts = node.gpus[0].facts
    assert facts is not None
    assert facts.num_nvlinks == 0


def test_a_slice_has_the_facts_of_its_gpu_and_its_profile(fake_nvml: FakeNvml) -> None:
    node = read_cluster(timeout_s=40.0, env=fake_nvml(gpus=2, mig=0)).nodes[0]
    facts = [gpu.facts for gpu in node.gpus]
    assert [f.mig_profile for f in facts if f] == ["1c.2g.20gb", "2g.20gb", None]
    assert [f.max_sm_clock_mhz for f in facts if f] == [1410.0] * 3
    assert node.facts is not None
    assert node.facts.devices[:2] == ("GPU0", "GPU1")
    # NVLink does not join a GPU that is cut into slices.
    assert node.facts.paths[0][:2] == ("X", "PIX")

"""Where devices sit on the PCI bus, from a folder that looks like /sys."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.probe.nvml import Device
from cluster.probe.paths import TopologyReader
from cluster.probe.pci import device_folder, distance, network_devices, numa_node
from cluster.probe.query import Answer

# Two sockets. The first has a switch (01) with a GPU, a NIC and another switch, and a port beside it.
DEVICES = {
    "0000:05:00.0": ("pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0/0000:05:00.0", 0),
    "0000:06:00.0": ("pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:04.0/0000:06:00.0", 0),
    "0000:08:00.0": (
        "pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:08.0/0000:07:00.0/0000:07:01.0/0000:08:00.0",
        0,
    ),
    "0000:0a:00.0": ("pci0000:00/0000:00:03.0/0000:0a:00.0", 0),
    "0000:50:00.0": ("pci0000:40/0000:40:01.0/0000:50:00.0", 0),
    "0001:90:00.0": ("pci0001:80/0001:80:01.0/0001:90:00.0", 1),
    "0001:91:00.0": ("pci0001:80/0001:80:02.0/0001:91:00.0", 1),
}


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    (tmp_path / "bus/pci/devices").mkdir(parents=True)
    for name, (place, numa) in DEVICES.items():
        folder = tmp_path / "devices" / place
        folder.mkdir(parents=True)
        (folder / "numa_node").write_text(f"{numa}\n")
        (tmp_path / "bus/pci/devices" / name).symlink_to(folder)
    for name, device in {"mlx5_1": "0001:91:00.0", "mlx5_0": "0000:06:00.0"}.items():
        (tmp_path / "class/infiniband" / name).mkdir(parents=True)
        (tmp_path / "class/infiniband" / name / "device").symlink_to(tmp_path / "bus/pci/devices" / device)
    return tmp_path


@pytest.mark.parametrize(
    ("other", "path"),
    [
        ("00000000:06:00.0", "PIX"),
        ("00000000:08:00.0", "PXB"),
        ("00000000:0A:00.0", "PHB"),
        ("00000000:50:00.0", "NODE"),
        ("00000001:90:00.0", "SYS"),
        ("00000000:77:00.0", None),
        ("garbage", None),
        (None, None),
    ],
)
def test_paths_are_named_as_nvidia_smi_does(sys: Path, other: str | None, path: str | None) -> None:
    here, there = device_folder("00000000:05:00.0", sys), device_folder(other, sys)
    assert distance(here, there) == distance(there, here) == path


def test_network_devices_in_order_with_their_numa_node(sys: Path) -> None:
    found = network_devices(sys)
    assert list(found) == ["mlx5_0", "mlx5_1"]
    assert [numa_node(folder) for folder in found.values()] == [0, 1]
    assert distance(device_folder("00000000:05:00.0", sys), found["mlx5_0"]) == "PIX"


def test_where_the_kernel_says_nothing_nothing_is_known(tmp_path: Path) -> None:
    assert network_devices(tmp_path) == {}
    assert numa_node(device_folder("00000000:05:00.0", tmp_path)) is None


class Driver:
    """Two GPUs that NVLink does not join; says nothing of how they are apart."""

    BUS_IDS = ("00000000:05:00.0", "00000001:90:00.0")
    module = SimpleNamespace()

    def __init__(self) -> None:
        self.num_pairs_asked = 0

    def ask(self, gpu_index: int | None, function: str, *args: Any) -> Answer:
        self.num_pairs_asked += function == "nvmlDeviceGetP2PStatus"
        if function == "nvmlDeviceGetPciInfo":
            assert gpu_index is not None
            return Answer(SimpleNamespace(busId=self.BUS_IDS[gpu_index].encode()))
        return (
            Answer(5) if function == "nvmlDeviceGetP2PStatus" else Answer(None, "not supported by this GPU")
        )


def test_the_matrix_has_network_devices_after_the_gpus(sys: Path) -> None:
    """As `nvidia-smi topo -m` prints it; where the driver is silent, /sys answers."""
    islands, facts = TopologyReader(sys).look(Driver(), [Device(0, "a"), Device(1, "b")])  # type: ignore[arg-type]
    assert islands == {}
    assert facts.devices == ("GPU0", "GPU1", "mlx5_0", "mlx5_1")
    assert facts.numa_nodes == (0, 1, 0, 1)
    assert facts.paths == (
        ("X", "SYS", "PIX", "SYS"),
        ("SYS", "X", "SYS", "PHB"),
        ("PIX", "SYS", "X", "SYS"),
        ("SYS", "PHB", "SYS", "X"),
    )


def test_pairs_are_asked_again_after_five_minutes_or_when_the_gpus_are_others(sys: Path) -> None:
    clock, driver = [0.0], Driver()
    reader = TopologyReader(sys, clock=lambda: clock[0])
    both, one_lost = [Device(0, "a"), Device(1, "b")], [Device(0, "a"), Device(1, error="lost")]
    asked = []
    for clock[0], devices in ((0.0, both), (299.0, both), (300.0, both), (301.0, one_lost), (302.0, both)):
        reader.look(driver, devices)  # type: ignore[arg-type]
        asked.append(driver.num_pairs_asked)
    assert asked == [1, 1, 2, 2, 3]

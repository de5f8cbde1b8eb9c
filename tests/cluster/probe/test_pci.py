"""Where devices sit on the PCI bus, from a folder that looks like /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.probe.pci import device_folder, distance, network_devices, numa_node

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
}


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    (tmp_path / "bus/pci/devices").mkdir(parents=True)
    for name, (place, numa) in DEVICES.items():
        folder = tmp_path / "devices" / place
        folder.mkdir(parents=True)
        (folder / "numa_node").write_text(f"{numa}\n")
        (tmp_path / "bus/pci/devices" / name).symlink_to(folder)
    for name, device in {"mlx5_1": "0001:90:00.0", "mlx5_0": "0000:06:00.0"}.items():
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

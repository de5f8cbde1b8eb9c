"""Network ports of a node, from the kernel's files."""

from __future__ import annotations

from pathlib import Path

from cluster.probe.ports import PortReader, fastest_link
from tests.cluster.probe.amd_tree import write


def infiniband(root: Path, device: str = "mlx5_0", **files: object) -> Path:
    port = root / f"sys/class/infiniband/{device}/ports/1"
    values = {
        "link_layer": "InfiniBand",
        "state": "4: ACTIVE",
        "rate": "400 Gb/sec (4X NDR)",
        "counters/port_rcv_data": 1000,
        "counters/port_xmit_data": 2000,
        "counters/symbol_error": 3,
        "counters/link_downed": 1,
        **files,
    }
    for name, value in values.items():
        write(port / name, value)
    write(root / f"sys/class/infiniband/{device}/device/numa_node", 1)
    return port


def ethernet(root: Path, name: str = "eth0", *, physical: bool = True, **files: object) -> Path:
    folder = root / f"sys/class/net/{name}"
    values = {
        "type": 1,
        "operstate": "up",
        "speed": 100_000,
        "statistics/rx_bytes": 0,
        "statistics/tx_bytes": 0,
        "statistics/rx_errors": 2,
        "statistics/tx_errors": 0,
        **files,
    }
    for file, value in values.items():
        write(folder / file, value)
    if physical:
        write(folder / "device/numa_node", -1)
    return folder


def test_an_infiniband_port_has_its_rate_state_and_errors(tmp_path: Path) -> None:
    infiniband(tmp_path)
    (port,) = PortReader(tmp_path).read(0.0)
    assert (port.name, port.kind, port.is_up) == ("mlx5_0/1", "infiniband", True)
    assert port.link_bytes_per_s == 50e9
    assert (port.errors, port.numa_node) == (4, 1)
    assert (port.received_bytes_per_s, port.sent_bytes_per_s) == (None, None)


def test_rates_are_bytes_a_second_of_units_of_four(tmp_path: Path) -> None:
    port = infiniband(tmp_path)
    reader = PortReader(tmp_path)
    reader.read(10.0)
    write(port / "counters/port_rcv_data", 1000 + 5_000_000_000)
    write(port / "counters/port_xmit_data", 2000)
    (now,) = reader.read(12.0)
    assert now.received_bytes_per_s == 10e9
    assert now.sent_bytes_per_s == 0


def test_a_counter_that_began_anew_gives_no_rate(tmp_path: Path) -> None:
    port = infiniband(tmp_path)
    reader = PortReader(tmp_path)
    reader.read(0.0)
    write(port / "counters/port_rcv_data", 5)
    assert reader.read(1.0)[0].received_bytes_per_s is None


def test_roce_is_told_by_its_link_layer_and_down_by_its_state(tmp_path: Path) -> None:
    infiniband(tmp_path, link_layer="Ethernet", state="1: DOWN", rate="40 Gb/sec (4X QDR)")
    (port,) = PortReader(tmp_path).read(0.0)
    assert (port.kind, port.is_up) == ("roce", False)


def test_ethernet_counts_only_physical_interfaces_where_there_are_any(tmp_path: Path) -> None:
    ethernet(tmp_path, "ens1")
    ethernet(tmp_path, "docker0", physical=False)
    ethernet(tmp_path, "lo", physical=False, type=772)
    virtual = ethernet(tmp_path, "ens1v3")
    write(virtual / "device/physfn/vendor", "0x15b3")
    (port,) = PortReader(tmp_path).read(0.0)
    assert (port.name, port.kind, port.link_bytes_per_s, port.errors) == ("ens1", "ethernet", 12.5e9, 2)
    assert port.numa_node is None


def test_a_container_with_virtual_interfaces_only_shows_them(tmp_path: Path) -> None:
    ethernet(tmp_path, "eth0", physical=False, speed=-1, operstate="unknown")
    (port,) = PortReader(tmp_path).read(0.0)
    assert (port.name, port.is_up, port.link_bytes_per_s) == ("eth0", None, None)


def test_the_fastest_link_is_one_that_is_up_and_rdma_comes_first(tmp_path: Path) -> None:
    infiniband(tmp_path)
    infiniband(tmp_path, "mlx5_1", state="1: DOWN", rate="800 Gb/sec (4X XDR)")
    ethernet(tmp_path, speed=800_000)
    assert fastest_link(PortReader(tmp_path).read(0.0)) == 50e9
    assert fastest_link(()) is None


def test_this_machine_can_be_read() -> None:
    reader = PortReader()
    reader.read(0.0)
    assert all(port.name for port in reader.read(1.0))


def test_garbage_is_no_figure(tmp_path: Path) -> None:
    port = infiniband(tmp_path, rate="fast", state="")
    for counter in (port / "counters").iterdir():
        write(counter, "N/A (no PMA)")
    (read,) = PortReader(tmp_path).read(0.0)
    assert (read.link_bytes_per_s, read.errors, read.is_up) == (None, None, False)

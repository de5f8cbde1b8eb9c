"""The network ports of this node: InfiniBand, RoCE and Ethernet, from /sys.

Formats: the kernel's Documentation/ABI/stable/sysfs-class-infiniband, testing/sysfs-class-net and
testing/sysfs-class-net-statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cluster.detail import NetworkPort
from cluster.probe.sysfiles import entries, numa_node, read_count, read_number, read_text

_MOST_PORTS = 64
_ETHERNET_TYPE = 1  # ARPHRD_ETHER
_GIGABIT_BYTES = 125_000_000
_MEGABIT_BYTES = 125_000
# InfiniBand counts data in units of four bytes.
_BYTES_PER_UNIT = 4
_IB_ERRORS = (
    "symbol_error",
    "port_rcv_errors",
    "local_link_integrity_errors",
    "excessive_buffer_overrun_errors",
    "link_error_recovery",
    "link_downed",
)
_ETHERNET_ERRORS = ("rx_errors", "tx_errors")
_SHORTEST_S = 0.1


@dataclass(frozen=True, slots=True)
class _Counted:
    """A port and its bytes so far."""

    port: NetworkPort
    received: int | None
    sent: int | None


class PortReader:
    """Reads all ports; rates come from the second reading on. `root` is where /sys lies."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._sys = root / "sys"
        self._last: dict[str, _Counted] = {}
        self._last_s: float | None = None

    def read(self, now_s: float) -> tuple[NetworkPort, ...]:
        """Return the ports, at most 64; `now_s` is of a clock that never goes back."""
        counted = [*self._infiniband(), *self._ethernet()][:_MOST_PORTS]
        elapsed_s = None if self._last_s is None else now_s - self._last_s
        if elapsed_s is not None and elapsed_s < _SHORTEST_S:
            elapsed_s = None
        ports = tuple(_with_rates(one, self._last.get(one.port.name), elapsed_s) for one in counted)
        self._last, self._last_s = {one.port.name: one for one in counted}, now_s
        return ports

    def _infiniband(self) -> list[_Counted]:
        return [
            _infiniband_port(device, port)
            for device in entries(self._sys / "class/infiniband")
            for port in entries(device / "ports")
        ]

    def _ethernet(self) -> list[_Counted]:
        found = [
            folder
            for folder in entries(self._sys / "class/net")
            if folder.name != "lo" and read_count(folder / "type").value == _ETHERNET_TYPE
        ]
        # Bridges, bonds and containers' ends would count the same bytes twice; so would virtual functions.
        physical = [folder for folder in found if (folder / "device").exists()]
        physical = [folder for folder in physical if not (folder / "device/physfn").exists()]
        return [_ethernet_port(folder) for folder in physical or found]


def fastest_link(ports: tuple[NetworkPort, ...]) -> float | None:
    """Return the rate of the fastest port that is up, in bytes/s per direction; RDMA before Ethernet."""
    for kinds in (("infiniband", "roce"), ("ethernet",)):
        rates = [port.link_bytes_per_s for port in ports if port.is_up and port.kind in kinds]
        known = [rate for rate in rates if rate]
        if known:
            return max(known)
    return None


def _infiniband_port(device: Path, port: Path) -> _Counted:
    is_infiniband = (read_text(port / "link_layer").value or "InfiniBand").lower() == "infiniband"
    state = read_text(port / "state").value
    rate = read_number(port / "rate", scale=_GIGABIT_BYTES).value
    counters = port / "counters"
    return _Counted(
        NetworkPort(
            name=f"{device.name}/{port.name}",
            kind="infiniband" if is_infiniband else "roce",
            is_up=None if state is None else state.split(":")[-1].strip() == "ACTIVE",
            link_bytes_per_s=rate or None,
            errors=_total(counters, _IB_ERRORS),
            numa_node=numa_node(device / "device"),
        ),
        received=_units_of_four(counters / "port_rcv_data"),
        sent=_units_of_four(counters / "port_xmit_data"),
    )


def _ethernet_port(folder: Path) -> _Counted:
    state, statistics = read_text(folder / "operstate").value, folder / "statistics"
    return _Counted(
        NetworkPort(
            name=folder.name,
            kind="ethernet",
            is_up=None if state in (None, "unknown") else state == "up",
            link_bytes_per_s=read_number(folder / "speed", scale=_MEGABIT_BYTES).value or None,
            errors=_total(statistics, _ETHERNET_ERRORS),
            numa_node=numa_node(folder / "device"),
        ),
        received=read_count(statistics / "rx_bytes").value,
        sent=read_count(statistics / "tx_bytes").value,
    )


def _units_of_four(path: Path) -> int | None:
    units = read_count(path).value
    return None if units is None else units * _BYTES_PER_UNIT


def _total(folder: Path, names: tuple[str, ...]) -> int | None:
    counts = [count for count in (read_count(folder / name).value for name in names) if count is not None]
    return sum(counts) if counts else None


def _with_rates(now: _Counted, last: _Counted | None, elapsed_s: float | None) -> NetworkPort:
    if last is None or elapsed_s is None:
        return now.port
    received = rate(last.received, now.received, elapsed_s)
    sent = rate(last.sent, now.sent, elapsed_s)
    return now.port.model_copy(update={"received_bytes_per_s": received, "sent_bytes_per_s": sent})


def rate(last: int | None, now: int | None, elapsed_s: float) -> float | None:
    """Return the growth of a counter per second; None where it is not known or began anew."""
    if last is None or now is None or now < last or elapsed_s <= 0:
        return None
    return (now - last) / elapsed_s

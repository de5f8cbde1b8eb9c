"""Which GPUs reach each other over NVLink, inside a node and beyond it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cluster.probe.fabric import read_fabric
from cluster.probe.links import SWITCH, link_remote, link_states, text
from cluster.probe.nvml import Device
from cluster.probe.query import GpuGone, NvmlQuery

_P2P_OVER_NVLINK = 2
_P2P_OK = 0


def whole_gpus(devices: Iterable[Device]) -> list[Device]:
    """Return the GPUs that are there and not cut into slices."""
    return [device for device in devices if device.handle is not None and device.mig_parent is None]


def pairs(devices: Sequence[Device]) -> list[tuple[Device, Device]]:
    """Return each two of the devices, in order of their index."""
    return [(a, b) for i, a in enumerate(devices) for b in devices[i + 1 :]]


class NvlinkPairs:
    """Which pairs of GPUs NVLink joins, and over how many links; each GPU's link ends are asked once."""

    def __init__(self, query: NvmlQuery, devices: Iterable[Device]) -> None:
        self._query = query
        self._ends: dict[int, Counter[str]] = {}
        self.joined = {(a.index, b.index) for a, b in pairs(whole_gpus(devices)) if self._joined(a, b)}

    def _joined(self, a: Device, b: Device) -> bool:
        try:
            # Links can be up while peer access is off, so the driver's verdict on the pair comes first.
            status = self._query.ask(a.index, "nvmlDeviceGetP2PStatus", a.handle, b.handle, _P2P_OVER_NVLINK)
            if status.value is not None:
                return bool(status.value == _P2P_OK)
            return self._num_links(a, b) > 0
        except GpuGone:
            return False

    def num_links(self, a: Device, b: Device) -> int:
        """Return how many links that are up join two GPUs, over a switch or directly; 0 if unknown."""
        try:
            return self._num_links(a, b)
        except GpuGone:
            return 0

    def _num_links(self, a: Device, b: Device) -> int:
        over_switch = min(self._ends_of(a)[SWITCH], self._ends_of(b)[SWITCH])
        return over_switch or self._ends_of(a)[_bus_id(self._query, b)]

    def _ends_of(self, device: Device) -> Counter[str]:
        if device.index not in self._ends:
            self._ends[device.index] = _link_ends(self._query, device)
        return self._ends[device.index]


def _link_ends(query: NvmlQuery, device: Device) -> Counter[str]:
    states, _ = link_states(query, device)
    ends = (link_remote(query, device, link) for link, active in states.items() if active)
    return Counter(end for end in ends if end is not None)


def _bus_id(query: NvmlQuery, device: Device) -> str:
    info = query.ask(device.index, "nvmlDeviceGetPciInfo", device.handle)
    return "" if info.value is None else text(info.value.busId)


def nvlink_domain(query: NvmlQuery, devices: Sequence[Device]) -> str | None:
    """Return 'cluster uuid:clique' when all GPUs of the node agree on one healthy fabric across nodes."""
    domains = {_domain(query, device) for device in devices if device.handle is not None}
    return domains.pop() if len(domains) == 1 else None


def _domain(query: NvmlQuery, device: Device) -> str | None:
    if device.mig_parent is not None:
        return None
    try:
        fabric, _ = read_fabric(query, device)
    except GpuGone:
        return None
    return fabric.domain if fabric else None

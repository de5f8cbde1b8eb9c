"""Which GPUs reach each other over NVLink, inside a node and beyond it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from cluster.probe.nvml import Device
from cluster.probe.query import GpuGone, NvmlQuery

_P2P_OVER_NVLINK = 2
_P2P_OK = 0
_LINK_ACTIVE = 1
_REMOTE_IS_SWITCH = 2
_SWITCH = "switch"
_FABRIC_COMPLETED = 3
_MOST_LINKS = 36

Pair = tuple[int, int]


def nvlink_islands(query: NvmlQuery, devices: Sequence[Device]) -> dict[int, str]:
    """Name the island of each GPU that has one, by index; every member reaches every other over NVLink.

    Islands are cliques, not connected components: in a cube mesh all GPUs hang together, yet only four of
    them each have a link to one another.
    """
    whole = [device for device in devices if device.handle is not None and device.mig_parent is None]
    joined = _joined_pairs(query, whole)
    islands: list[list[int]] = []
    for index in (device.index for device in whole):
        home = next((i for i in islands if all((member, index) in joined for member in i)), None)
        if home is None:
            islands.append([index])
        else:
            home.append(index)
    real = [island for island in islands if len(island) > 1]
    return {index: f"nvlink-{number}" for number, island in enumerate(real) for index in island}


def _joined_pairs(query: NvmlQuery, devices: Sequence[Device]) -> set[Pair]:
    pairs = [(a, b) for i, a in enumerate(devices) for b in devices[i + 1 :]]
    remotes: dict[int, set[str]] = {}
    return {(a.index, b.index) for a, b in pairs if _joined(query, a, b, remotes)}


def _joined(query: NvmlQuery, a: Device, b: Device, remotes: dict[int, set[str]]) -> bool:
    try:
        # Links can be up while peer access is off, so the driver's verdict on the pair comes first.
        status = query.ask(a.index, "nvmlDeviceGetP2PStatus", a.handle, b.handle, _P2P_OVER_NVLINK)
        if status.value is not None:
            return bool(status.value == _P2P_OK)
        for device in (a, b):
            if device.index not in remotes:
                remotes[device.index] = _link_ends(query, device)
        both_on_switch = _SWITCH in remotes[a.index] & remotes[b.index]
        return both_on_switch or _bus_id(query, b) in remotes[a.index]
    except GpuGone:
        return False


def _link_ends(query: NvmlQuery, device: Device) -> set[str]:
    ends: set[str] = set()
    for link in range(_MOST_LINKS):
        state = query.ask(device.index, "nvmlDeviceGetNvLinkState", device.handle, link)
        if state.value is None:
            break
        if state.value != _LINK_ACTIVE:
            continue
        kind = query.ask(device.index, "nvmlDeviceGetNvLinkRemoteDeviceType", device.handle, link)
        if kind.value == _REMOTE_IS_SWITCH:
            ends.add(_SWITCH)
            continue
        remote = query.ask(device.index, "nvmlDeviceGetNvLinkRemotePciInfo", device.handle, link)
        ends.add(_text(remote.value.busId) if remote.value is not None else "")
    return ends


def _bus_id(query: NvmlQuery, device: Device) -> str | None:
    info = query.ask(device.index, "nvmlDeviceGetPciInfo", device.handle)
    return None if info.value is None else _text(info.value.busId)


def _text(raw: Any) -> str:
    return raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)


def nvlink_domain(query: NvmlQuery, devices: Sequence[Device]) -> str | None:
    """Return 'cluster uuid:clique' when all GPUs of the node agree on one healthy fabric across nodes."""
    domains = {_fabric(query, device) for device in devices if device.handle is not None}
    return domains.pop() if len(domains) == 1 else None


def _fabric(query: NvmlQuery, device: Device) -> str | None:
    structure = getattr(query.module, "c_nvmlGpuFabricInfoV_t", None)
    if structure is None or device.mig_parent is not None:
        return None
    info = structure()
    try:
        # The binding passes this argument on as it is: the structure itself would be read as an address.
        answer = query.ask(device.index, "nvmlDeviceGetGpuFabricInfoV", device.handle, ctypes.byref(info))
    except GpuGone:
        return None
    uuid = bytes(info.clusterUuid)
    if answer.reason or info.state & 0xFF != _FABRIC_COMPLETED or info.status != 0 or not any(uuid):
        return None
    return f"{uuid.hex()}:{info.cliqueId}"

"""The NVLink fabric that spans nodes: which part of it a GPU belongs to, and how it feels."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from cluster.probe.nvml import Device
from cluster.probe.query import NvmlQuery, reason_for

_COMPLETED = 3
_STATES = {0: "not supported", 1: "not started", 2: "in progress", _COMPLETED: "completed"}
_TRUE = 1
# Two bits each, at this shift of the health mask: 1 is true, 2 is false, 0 is not supported.
_FLAGS = {
    0: "degraded bandwidth",
    2: "route recovery in progress",
    4: "route unhealthy",
    6: "recovery after an access timeout",
}
_CONFIGURATION_SHIFT = 8
_CONFIGURATIONS = {
    2: "incorrect system GUID",
    3: "incorrect chassis serial number",
    4: "no partition",
    5: "insufficient NVLinks",
    6: "incompatible GPU firmware",
    7: "invalid location",
    8: "invalid GPU state",
}


@dataclass(frozen=True, slots=True)
class Fabric:
    """A GPU's place in a fabric."""

    state: str
    problems: tuple[str, ...] = ()
    domain: str | None = None
    """'cluster uuid:clique' once it has joined; GPUs with equal domains reach each other over NVLink."""


def read_fabric(query: NvmlQuery, chip: Device) -> tuple[Fabric | None, str | None]:
    """Return the GPU's place in the fabric, or None and the reason. Raises GpuGone, NvmlGone."""
    structure = getattr(query.module, "c_nvmlGpuFabricInfoV_t", None)
    if structure is None:
        return None, "this NVML binding is too old to report it"
    info = structure()
    # The binding passes this argument on as it is: the structure itself would be read as an address.
    answer = query.ask(chip.index, "nvmlDeviceGetGpuFabricInfoV", chip.handle, ctypes.byref(info))
    if answer.reason:
        return None, answer.reason
    state, status = int(info.state) & 0xFF, int(info.status)
    problems = list(health_problems(int(info.healthMask)))
    joined = state == _COMPLETED and status == 0
    if state == _COMPLETED and status != 0:
        problems.insert(0, f"joining it failed: {reason_for(status)}")
    uuid = bytes(info.clusterUuid)
    domain = f"{uuid.hex()}:{info.cliqueId}" if joined and any(uuid) else None
    return Fabric(_STATES.get(state, f"state {state}"), tuple(problems), domain), None


def health_problems(mask: int) -> tuple[str, ...]:
    """Name what NVML's fabric health mask reports; () when all is well or nothing is reported."""
    flags = [name for shift, name in _FLAGS.items() if mask >> shift & 0b11 == _TRUE]
    configuration = _CONFIGURATIONS.get(mask >> _CONFIGURATION_SHIFT & 0b1111)
    return tuple(flags) + ((f"incorrect configuration: {configuration}",) if configuration else ())

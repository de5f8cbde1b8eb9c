"""Figures that do not change while the driver is loaded: asked once for each GPU, and once for the node."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from cluster.gpu_facts import GpuFacts
from cluster.probe.figures import IMPOSSIBLE, Figure, Figures, milli, read_fields
from cluster.probe.links import link_states
from cluster.probe.nvml import Device
from cluster.probe.query import Answer, NvmlQuery, is_permanent

_SM_CLOCK, _MEMORY_CLOCK = 1, 2
_SHUTDOWN, _SLOWDOWN, _MEMORY_MAX = 0, 1, 2
_LINK_COUNT_FIELD = 91
_MIB_IN_A_GIB = 1024
_NOT_A_SLICE = "not a MIG slice"
_NOT_YET = "not asked yet, because the driver answers slowly"
_PATIENCE_S = 2.0
_FIELDS = GpuFacts.model_fields.keys() - {"absent"}
_PROFILE = re.compile(r"MIG (\d+(?:c\.\d+)?g\.\d+gb\S*)\Z")


def _most_watts(limits: list[int]) -> float:
    return milli(limits[1])


_OF_A_GPU = (
    Figure("max_sm_clock_mhz", "nvmlDeviceGetMaxClockInfo", (_SM_CLOCK,)),
    Figure("max_memory_clock_mhz", "nvmlDeviceGetMaxClockInfo", (_MEMORY_CLOCK,)),
    Figure("shutdown_temperature_c", "nvmlDeviceGetTemperatureThreshold", (_SHUTDOWN,)),
    Figure("slowdown_temperature_c", "nvmlDeviceGetTemperatureThreshold", (_SLOWDOWN,)),
    Figure("max_memory_temperature_c", "nvmlDeviceGetTemperatureThreshold", (_MEMORY_MAX,)),
    Figure("default_power_limit_w", "nvmlDeviceGetPowerManagementDefaultLimit", convert=milli),
    Figure(
        "max_power_limit_w", "nvmlDeviceGetPowerManagementLimitConstraints", convert=lambda v: milli(v[1])
    ),
    Figure("max_pcie_generation", "nvmlDeviceGetMaxPcieLinkGeneration", convert=int),
    Figure("max_pcie_width", "nvmlDeviceGetMaxPcieLinkWidth", convert=int),
)


class FactReader:
    """Reads facts and keeps them; what was missing for a passing reason is asked again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._left_s = clock, _PATIENCE_S
        self._gpus: dict[str, GpuFacts] = {}
        self._answers: dict[tuple[str, str], Any] = {}

    def forget(self) -> None:
        """Ask everything again: the driver may be another one."""
        self._gpus.clear()
        self._answers.clear()

    def begin(self) -> None:
        """Begin an inventory: facts take a certain time of it, and the rest is left to the next."""
        self._left_s = _PATIENCE_S

    def once(self, query: NvmlQuery, index: int, uuid: str, function: str, handle: Any) -> Any:
        """Return what the function answers about the GPU, None if nothing; asked until it answers once."""
        if (uuid, function) not in self._answers:
            value = query.ask(index, function, handle).value
            if value is None:
                return None
            self._answers[uuid, function] = value
        return self._answers[uuid, function]

    def of_gpu(self, query: NvmlQuery, device: Device, uuid: str, product: str) -> GpuFacts:
        """Return a GPU's facts; those of a MIG slice are its GPU's, with its profile. Raises GpuGone."""
        if uuid not in self._gpus:
            if self._left_s <= 0:
                return GpuFacts(absent=dict.fromkeys(_FIELDS, _NOT_YET))
            began_s = self._clock()
            facts = _read(query, device, product)
            self._left_s -= self._clock() - began_s
            if not all(is_permanent(reason) or reason == _NOT_A_SLICE for reason in facts.absent.values()):
                return facts
            self._gpus[uuid] = facts
        return self._gpus[uuid]


def _read(query: NvmlQuery, device: Device, product: str) -> GpuFacts:
    figures = Figures()
    figures.ask(query, device.chip, _OF_A_GPU)
    figures.put("num_nvlinks", _num_nvlinks(query, device.chip), int)
    figures.put("mig_profile", _mig_profile(query, device, product), str)
    try:
        return GpuFacts(absent=figures.absent, **figures.values)
    except ValidationError as error:
        impossible = {str(problem["loc"][0]) for problem in error.errors(include_url=False)}
        possible = {field: value for field, value in figures.values.items() if field not in impossible}
        return GpuFacts(absent=figures.absent | dict.fromkeys(impossible, IMPOSSIBLE), **possible)


def _num_nvlinks(query: NvmlQuery, chip: Device) -> Answer:
    (count,) = read_fields(query, chip, [_LINK_COUNT_FIELD])
    if count.value is not None:
        return count
    states, reason = link_states(query, chip)
    return Answer(len(states)) if states else Answer(None, reason)


def _mig_profile(query: NvmlQuery, device: Device, product: str) -> Answer:
    if device.mig_parent is None:
        return Answer(None, _NOT_A_SLICE)
    named = _PROFILE.search(product)
    if named:
        return Answer(named[1])
    attributes = query.ask(device.asked_index, "nvmlDeviceGetAttributes_v2", device.handle)
    return Answer(None, attributes.reason) if attributes.value is None else Answer(_profile(attributes.value))


def _profile(attributes: Any) -> str:
    compute, gpu = int(attributes.computeInstanceSliceCount), int(attributes.gpuInstanceSliceCount)
    # The driver keeps a part of each slice's memory for itself; profiles are named after the whole.
    size = f"{gpu}g.{math.ceil(attributes.memorySizeMB / _MIB_IN_A_GIB)}gb"
    return size if compute == gpu else f"{compute}c.{size}"


def versions(query: NvmlQuery) -> Figures:
    """Return the versions of the driver and of the newest CUDA that it supports. Raises NvmlGone."""
    figures = Figures()
    figures.put("driver_version", query.ask(None, "nvmlSystemGetDriverVersion"), str)
    cuda = query.ask(None, "nvmlSystemGetCudaDriverVersion_v2")
    figures.put("cuda_version", cuda, lambda number: f"{number // 1000}.{number % 1000 // 10}")
    return figures

"""What a GPU is doing now: cheap calls only, as they are made every second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.probe.figures import Figure, Figures, milli, read_fields
from cluster.probe.memory import Memory, read_memory
from cluster.probe.nvml import Device
from cluster.probe.processes import ProcessReader
from cluster.probe.query import Answer, GpuGone, NvmlQuery
from cluster.probe.unified import held_by_processes
from cluster.telemetry import GpuReading

_GPU_SENSOR = 0
_SM_CLOCK, _MEMORY_CLOCK = 1, 2
_MEMORY_TEMPERATURE_FIELD = 82
_MOST_CELSIUS = 300
_PAUSE = 60.0
"""Times the duration of the less urgent calls that pass before they are made again."""
_MOST_PERFORMANCE_STATE = 15
_THROTTLE_REASONS = {
    0x1: "idle",
    0x2: "applications_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
    0x100: "display",
    0x200: "board_limit",
    0x400: "reliability",
}


def _percent_of_period(value: Any) -> float:
    return float(value[0])


def _performance_state(value: int) -> int:
    if not 0 <= value <= _MOST_PERFORMANCE_STATE:
        raise ValueError("the driver does not know it")
    return int(value)


def _celsius(value: int) -> float:
    if value > _MOST_CELSIUS:
        raise ValueError("the driver reports an impossible temperature")
    return float(value)


def throttle_reasons(mask: int) -> tuple[str, ...]:
    """Name the bits of NVML's mask; one that is not known keeps its number: '0x800'."""
    bits = [1 << bit for bit in range(int(mask).bit_length()) if mask >> bit & 1]
    return tuple(_THROTTLE_REASONS.get(bit, f"{bit:#x}") for bit in bits)


# Asked of a MIG slice itself: what it has no share of its own of is absent.
_OF_THE_DEVICE = (
    Figure("power_limit_w", "nvmlDeviceGetEnforcedPowerLimit", convert=milli),
    Figure("energy_j", "nvmlDeviceGetTotalEnergyConsumption", convert=milli),
    Figure("encoder_percent", "nvmlDeviceGetEncoderUtilization", convert=_percent_of_period),
    Figure("decoder_percent", "nvmlDeviceGetDecoderUtilization", convert=_percent_of_period),
)
# The same for all slices of a GPU, so they are asked of the GPU.
_OF_THE_CHIP = (
    Figure("fan_percent", "nvmlDeviceGetFanSpeed"),
    Figure("performance_state", "nvmlDeviceGetPerformanceState", convert=_performance_state),
    Figure("sm_clock_mhz", "nvmlDeviceGetClockInfo", (_SM_CLOCK,)),
    Figure("memory_clock_mhz", "nvmlDeviceGetClockInfo", (_MEMORY_CLOCK,)),
)


def placeholder_uuid(index: int) -> str:
    """Return a name for a GPU whose UUID cannot be read."""
    return f"unreadable-gpu-{index}"


@dataclass(frozen=True, slots=True)
class _Kept:
    figures: Figures
    until_s: float


class GpuSweep:
    """Reads what GPUs do now, each second.

    Use, memory, power, temperature and processes are always read. The rest takes at most a sixtieth of the
    time: from a driver that needs 50 ms for a call it is read twice a minute, and kept in between.
    """

    def __init__(self, processes: ProcessReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._processes, self._clock = processes, clock
        self._kept: dict[int, _Kept] = {}

    def read(self, query: NvmlQuery, device: Device, uuid: str) -> GpuReading:
        """Read one GPU. One that is gone has an `error` and no values; the others are not affected."""
        if device.error:
            return GpuReading(uuid=uuid, error=device.error)
        try:
            return self._read(query, device, uuid)
        except GpuGone as gone:
            self._kept.pop(device.index, None)
            return GpuReading(uuid=uuid, error=str(gone))

    def _read(self, query: NvmlQuery, device: Device, uuid: str) -> GpuReading:
        figures = Figures()
        memory = read_memory(query, device)
        listed, no_processes = self._processes.read(query, device, memory, with_use=True)
        _put_memory(memory, held_by_processes(listed, no_processes), figures)
        _ask_first(query, device, figures)
        rest = self._rest(query, device)
        absent = figures.absent | rest.absent
        if no_processes:
            absent["processes"] = no_processes
        return GpuReading(uuid=uuid, processes=listed, absent=absent, **figures.values, **rest.values)

    def _rest(self, query: NvmlQuery, device: Device) -> Figures:
        kept, began_s = self._kept.get(device.index), self._clock()
        if kept is not None and began_s < kept.until_s:
            return kept.figures
        figures = Figures()
        figures.ask(query, device, _OF_THE_DEVICE)
        _ask_chip(query, device.chip, figures)
        ended_s = self._clock()
        self._kept[device.index] = _Kept(figures, ended_s + _PAUSE * (ended_s - began_s))
        return figures


def _put_memory(memory: Memory, held: tuple[int | None, str | None], figures: Figures) -> None:
    figures.put("memory_total_bytes", Answer(memory.total_bytes, memory.reason), int)
    figures.put("memory_free_bytes", Answer(memory.free_bytes, memory.reason), int)
    used = Answer(*held) if memory.unified else Answer(memory.used_bytes, memory.reason)
    figures.put("memory_used_bytes", used, int)


def _ask_first(query: NvmlQuery, device: Device, figures: Figures) -> None:
    rates = query.ask(device.asked_index, "nvmlDeviceGetUtilizationRates", device.handle)
    figures.put("utilization_percent", rates, lambda value: float(value.gpu))
    figures.put("memory_busy_percent", rates, lambda value: float(value.memory))
    power = query.ask(device.asked_index, "nvmlDeviceGetPowerUsage", device.handle)
    figures.put("power_w", power, milli)
    newer, older = "nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"
    figures.put("temperature_c", _either(query, device.chip, newer, older, _GPU_SENSOR), _celsius)


def _ask_chip(query: NvmlQuery, chip: Device, figures: Figures) -> None:
    figures.ask(query, chip, _OF_THE_CHIP)
    newer, older = "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"
    figures.put("throttle_reasons", _either(query, chip, newer, older), throttle_reasons)
    (memory_temperature,) = read_fields(query, chip, [_MEMORY_TEMPERATURE_FIELD])
    figures.put("memory_temperature_c", memory_temperature, _celsius)


def _either(query: NvmlQuery, device: Device, newer: str, older: str, *args: int) -> Answer:
    answer = query.ask(device.index, newer, device.handle, *args)
    return answer if answer.value is not None else query.ask(device.index, older, device.handle, *args)

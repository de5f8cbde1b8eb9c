"""What a GPU is doing now."""

from __future__ import annotations

from cluster.probe.memory import read_memory
from cluster.probe.nvml import Device
from cluster.probe.processes import read_processes
from cluster.probe.query import Answer, GpuGone, NvmlQuery
from cluster.probe.unified import held_by_processes
from cluster.telemetry import GpuReading

_GPU_SENSOR = 0
_MILLIWATTS = 1000.0


def placeholder_uuid(index: int) -> str:
    """Return a name for a GPU whose UUID cannot be read."""
    return f"unreadable-gpu-{index}"


def read_gpu_now(query: NvmlQuery, device: Device, uuid: str) -> GpuReading:
    """Read one GPU. One that is gone has an `error` and no values; the others are not affected."""
    if device.error:
        return GpuReading(uuid=uuid, error=device.error)
    try:
        return _read(query, device, uuid)
    except GpuGone as gone:
        return GpuReading(uuid=uuid, error=str(gone))


def _read(query: NvmlQuery, device: Device, uuid: str) -> GpuReading:
    index, handle = device.asked_index, device.handle
    memory = read_memory(query, device)
    processes, no_processes = read_processes(query, device, memory)
    used_bytes, no_used = memory.used_bytes, memory.reason
    if memory.unified:
        used_bytes, no_used = held_by_processes(processes, no_processes)
    utilization = query.ask(index, "nvmlDeviceGetUtilizationRates", handle)
    temperature = _temperature(query, index, handle)
    power = query.ask(index, "nvmlDeviceGetPowerUsage", handle)
    power_limit = query.ask(index, "nvmlDeviceGetEnforcedPowerLimit", handle)
    reasons = {
        "memory_total_bytes": memory.reason if memory.total_bytes is None else None,
        "memory_used_bytes": no_used,
        "memory_free_bytes": memory.reason,
        "utilization_percent": utilization.reason,
        "temperature_c": temperature.reason,
        "power_w": power.reason,
        "power_limit_w": power_limit.reason,
        "processes": no_processes,
    }
    return GpuReading(
        uuid=uuid,
        memory_total_bytes=memory.total_bytes,
        memory_used_bytes=used_bytes,
        memory_free_bytes=memory.free_bytes,
        utilization_percent=None if utilization.value is None else float(utilization.value.gpu),
        temperature_c=None if temperature.value is None else float(temperature.value),
        power_w=_watts(power),
        power_limit_w=_watts(power_limit),
        processes=processes,
        absent={field: reason for field, reason in reasons.items() if reason},
    )


def _temperature(query: NvmlQuery, index: int, handle: object) -> Answer:
    newer = query.ask(index, "nvmlDeviceGetTemperatureV", handle, _GPU_SENSOR)
    if newer.value is not None:
        return newer
    return query.ask(index, "nvmlDeviceGetTemperature", handle, _GPU_SENSOR)


def _watts(milliwatts: Answer) -> float | None:
    return None if milliwatts.value is None else milliwatts.value / _MILLIWATTS

"""Prints what nvitop's API says of this machine's GPUs as JSON: run where the fake library is found."""

from __future__ import annotations

import json
from typing import Any

from nvitop import Device


def figures(device: Any) -> dict[str, Any]:
    """One GPU's figures under our names, in our units."""
    memory, clocks, most = device.memory_info(), device.clock_infos(), device.max_clock_infos()
    bar1 = device.bar1_memory_info()
    return {
        "uuid": device.uuid(),
        "type": device.name(),
        "pci_bus_id": device.bus_id(),
        "compute_capability": list(device.cuda_compute_capability()),
        "memory_total_bytes": memory.total,
        "memory_used_bytes": memory.used,
        "memory_free_bytes": memory.free,
        "utilization_percent": device.gpu_utilization(),
        "memory_busy_percent": device.memory_utilization(),
        "encoder_percent": device.encoder_utilization(),
        "decoder_percent": device.decoder_utilization(),
        "temperature_c": device.temperature(),
        "fan_percent": device.fan_speed(),
        "power_w": device.power_usage() / 1000,
        "power_limit_w": device.power_limit() / 1000,
        "performance_state": int(device.performance_state().removeprefix("P")),
        "sm_clock_mhz": clocks.sm,
        "memory_clock_mhz": clocks.memory,
        "max_sm_clock_mhz": most.sm,
        "max_memory_clock_mhz": most.memory,
        "num_nvlinks": device.nvlink_link_count(),
        "pcie_received_bytes_per_s": device.pcie_rx_throughput() * 1024,
        "pcie_sent_bytes_per_s": device.pcie_tx_throughput() * 1024,
        "ecc.volatile_uncorrected": device.total_volatile_uncorrected_ecc_errors(),
        "bar1_used_bytes": bar1.used,
        "bar1_total_bytes": bar1.total,
        "processes": [process(found) for found in device.processes().values()],
    }


def process(found: Any) -> dict[str, Any]:
    """A process's figures under our names."""
    return {
        "pid": found.pid,
        "memory_bytes": found.gpu_memory(),
        "sm_percent": found.gpu_sm_utilization(),
        "user": found.username(),
        "command": found.command(),
    }


if __name__ == "__main__":
    gpus = [figures(device) for device in Device.all()]
    versions = {"driver_version": Device.driver_version(), "cuda_version": Device.cuda_driver_version()}
    print(json.dumps({**versions, "gpus": gpus}, default=str))

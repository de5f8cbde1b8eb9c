"""Figures of a GPU as metrics: their names, where they come from, and their units. Data only.

Names of NVIDIA's DCGM stand where they mean the same, in DCGM's units, so that dashboards made for its
exporter work. What DCGM has no name for is `clusterview_gpu_...`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.units import MIB

Lane = Literal["reading", "facts", "detail", "ecc"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of a GPU: the field `name` of a lane, times `scale`."""

    metric: str
    lane: Lane
    name: str
    text: str
    scale: float = 1.0
    is_counter: bool = False


_PER_MIB = 1 / MIB

FIGURES = (
    Figure("DCGM_FI_DEV_SM_CLOCK", "reading", "sm_clock_mhz", "SM clock frequency (in MHz)."),
    Figure("DCGM_FI_DEV_MEM_CLOCK", "reading", "memory_clock_mhz", "Memory clock frequency (in MHz)."),
    Figure("DCGM_FI_DEV_MAX_SM_CLOCK", "facts", "max_sm_clock_mhz", "Maximum SM clock (in MHz)."),
    Figure("DCGM_FI_DEV_MAX_MEM_CLOCK", "facts", "max_memory_clock_mhz", "Maximum memory clock (in MHz)."),
    Figure("DCGM_FI_DEV_GPU_TEMP", "reading", "temperature_c", "GPU temperature (in C)."),
    Figure("DCGM_FI_DEV_MEMORY_TEMP", "reading", "memory_temperature_c", "Memory temperature (in C)."),
    Figure(
        "DCGM_FI_DEV_SLOWDOWN_TEMP",
        "facts",
        "slowdown_temperature_c",
        "Temperature at which clocks drop (in C).",
    ),
    Figure(
        "DCGM_FI_DEV_SHUTDOWN_TEMP", "facts", "shutdown_temperature_c", "Temperature of the shutdown (in C)."
    ),
    Figure("DCGM_FI_DEV_POWER_USAGE", "reading", "power_w", "Power draw (in W)."),
    Figure("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "reading", "power_limit_w", "Power limit in force (in W)."),
    Figure(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "reading",
        "energy_j",
        "Energy since the driver was loaded (in mJ).",
        1000.0,
        True,
    ),
    Figure("DCGM_FI_DEV_GPU_UTIL", "reading", "utilization_percent", "GPU utilization (in %)."),
    Figure(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "reading",
        "utilization_percent",
        "Ratio of time that the GPU was busy, by NVML's utilization: coarser than DCGM's profiling counter.",
        0.01,
    ),
    Figure(
        "DCGM_FI_DEV_MEM_COPY_UTIL", "reading", "memory_busy_percent", "Time that memory was busy (in %)."
    ),
    Figure("DCGM_FI_DEV_ENC_UTIL", "reading", "encoder_percent", "Encoder utilization (in %)."),
    Figure("DCGM_FI_DEV_DEC_UTIL", "reading", "decoder_percent", "Decoder utilization (in %)."),
    Figure("DCGM_FI_DEV_FB_TOTAL", "reading", "memory_total_bytes", "Memory (in MiB).", _PER_MIB),
    Figure("DCGM_FI_DEV_FB_USED", "reading", "memory_used_bytes", "Memory in use (in MiB).", _PER_MIB),
    Figure("DCGM_FI_DEV_FB_FREE", "reading", "memory_free_bytes", "Free memory (in MiB).", _PER_MIB),
    Figure("DCGM_FI_DEV_FAN_SPEED", "reading", "fan_percent", "Fan speed (in %)."),
    Figure("DCGM_FI_DEV_PSTATE", "reading", "performance_state", "Performance state, 0 is the fastest."),
    Figure("DCGM_FI_DEV_PCIE_LINK_GEN", "detail", "pcie_generation", "PCIe generation now."),
    Figure("DCGM_FI_DEV_PCIE_LINK_WIDTH", "detail", "pcie_width", "PCIe lanes now."),
    Figure("DCGM_FI_DEV_PCIE_MAX_LINK_GEN", "facts", "max_pcie_generation", "Highest PCIe generation."),
    Figure("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", "facts", "max_pcie_width", "Most PCIe lanes."),
    Figure(
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "detail", "pcie_replays", "Total number of PCIe retries.", 1, True
    ),
    Figure(
        "clusterview_gpu_pcie_received_bytes_per_second",
        "detail",
        "pcie_received_bytes_per_s",
        "PCIe bytes received per second.",
    ),
    Figure(
        "clusterview_gpu_pcie_sent_bytes_per_second",
        "detail",
        "pcie_sent_bytes_per_s",
        "PCIe bytes sent per second.",
    ),
    Figure("DCGM_FI_DEV_BAR1_TOTAL", "detail", "bar1_total_bytes", "BAR1 memory (in MiB).", _PER_MIB),
    Figure("DCGM_FI_DEV_BAR1_USED", "detail", "bar1_used_bytes", "BAR1 memory in use (in MiB).", _PER_MIB),
    Figure(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "detail",
        "remapped_uncorrected",
        "Number of remapped rows for uncorrectable errors.",
        1,
        True,
    ),
    Figure(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "detail",
        "remapped_corrected",
        "Number of remapped rows for correctable errors.",
        1,
        True,
    ),
    Figure(
        "DCGM_FI_DEV_ROW_REMAP_FAILURE", "detail", "remap_failed", "Whether remapping of rows has failed."
    ),
    Figure(
        "DCGM_FI_DEV_ROW_REMAP_PENDING", "detail", "remap_pending", "Whether a remapping waits for a reset."
    ),
    Figure(
        "DCGM_FI_DEV_RETIRED_PENDING", "detail", "retirement_pending", "Whether pages are pending retirement."
    ),
    Figure(
        "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
        "ecc",
        "volatile_corrected",
        "Single-bit ECC errors since the driver was loaded.",
        1,
        True,
    ),
    Figure(
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
        "ecc",
        "volatile_uncorrected",
        "Double-bit ECC errors since the driver was loaded.",
        1,
        True,
    ),
    Figure(
        "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL",
        "ecc",
        "aggregate_corrected",
        "Single-bit ECC errors over the GPU's life.",
        1,
        True,
    ),
    Figure(
        "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL",
        "ecc",
        "aggregate_uncorrected",
        "Double-bit ECC errors over the GPU's life.",
        1,
        True,
    ),
)

THROTTLE_BITS = {
    "idle": 0x1,
    "applications_clocks": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal": 0x20,
    "hw_thermal": 0x40,
    "hw_power_brake": 0x80,
    "display": 0x100,
}
"""Throttle reason -> its bit in NVML's and DCGM's mask."""

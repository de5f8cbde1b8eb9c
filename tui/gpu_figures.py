"""Every figure of one GPU, in groups."""

from __future__ import annotations

from cluster.detail import GpuDetail
from cluster.inventory import Gpu
from cluster.telemetry import GpuReading
from tui.figures import FigureGroup, Lanes, Row, count, groups, names, rate, size, unit, words, yes_no

_MHZ, _WATTS, _CELSIUS, _PERCENT = unit("MHz"), unit("W"), unit("°C"), unit("%")


def _capability(value: tuple[int, int]) -> str:
    return f"{value[0]}.{value[1]}"


def _plain(value: object) -> str:
    return str(value)


_TABLES: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "Memory",
        (
            Row("used", "reading.memory_used_bytes", size, "reading.memory_total_bytes"),
            Row("free", "reading.memory_free_bytes", size),
            Row("memory busy", "reading.memory_busy_percent", _PERCENT),
            Row("unified with the machine's", "gpu.unified_memory", yes_no),
            Row("BAR1 used", "detail.bar1_used_bytes", size, "detail.bar1_total_bytes"),
        ),
    ),
    (
        "Speed",
        (
            Row("utilization", "reading.utilization_percent", _PERCENT),
            Row("SM clock", "reading.sm_clock_mhz", _MHZ, "facts.max_sm_clock_mhz"),
            Row("memory clock", "reading.memory_clock_mhz", _MHZ, "facts.max_memory_clock_mhz"),
            Row("clocks held down by", "reading.throttle_reasons", words),
            Row("performance state", "reading.performance_state", lambda value: f"P{value}"),
            Row("encoder", "reading.encoder_percent", _PERCENT),
            Row("decoder", "reading.decoder_percent", _PERCENT),
        ),
    ),
    (
        "Heat and power",
        (
            Row("temperature", "reading.temperature_c", _CELSIUS),
            Row("slows down at", "facts.slowdown_temperature_c", _CELSIUS),
            Row("shuts down at", "facts.shutdown_temperature_c", _CELSIUS),
            Row("memory temperature", "reading.memory_temperature_c", _CELSIUS),
            Row("memory temperature limit", "facts.max_memory_temperature_c", _CELSIUS),
            Row("fan", "reading.fan_percent", _PERCENT),
            Row("power", "reading.power_w", _WATTS, "reading.power_limit_w"),
            Row("default power limit", "facts.default_power_limit_w", _WATTS, "facts.max_power_limit_w"),
            Row("energy since driver load", "reading.energy_j", lambda value: f"{value / 3.6e6:,.2f} kWh"),
        ),
    ),
    (
        "PCIe",
        (
            Row("generation", "detail.pcie_generation", count, "facts.max_pcie_generation"),
            Row("width", "detail.pcie_width", lambda value: f"x{value}", "facts.max_pcie_width"),
            Row("received", "detail.pcie_received_bytes_per_s", rate),
            Row("sent", "detail.pcie_sent_bytes_per_s", rate),
            Row("replays", "detail.pcie_replays", count),
        ),
    ),
    (
        "Errors and repairs",
        (
            Row("ECC corrected, since driver load", "detail.ecc.volatile_corrected", count),
            Row("ECC uncorrected, since driver load", "detail.ecc.volatile_uncorrected", count),
            Row("ECC corrected, lifetime", "detail.ecc.aggregate_corrected", count),
            Row("ECC uncorrected, lifetime", "detail.ecc.aggregate_uncorrected", count),
            Row("rows remapped, corrected", "detail.remapped_corrected", count),
            Row("rows remapped, uncorrected", "detail.remapped_uncorrected", count),
            Row("row remap pending", "detail.remap_pending", yes_no),
            Row("row remap failed", "detail.remap_failed", yes_no),
            Row("retired pages", "detail.retired_pages", count),
            Row("page retirement pending", "detail.retirement_pending", yes_no),
            Row("recovery action", "detail.recovery_action", _plain),
            Row("fabric", "detail.fabric_state", _plain),
            Row("fabric problems", "detail.fabric_problems", names),
        ),
    ),
    (
        "Identity",
        (
            Row("UUID", "gpu.uuid", _plain),
            Row("type", "gpu.type", _plain),
            Row("vendor", "gpu.vendor", _plain),
            Row("compute capability", "gpu.compute_capability", _capability),
            Row("PCI bus id", "gpu.pci_bus_id", _plain),
            Row("NUMA node", "gpu.numa_node", count),
            Row("NVLink island", "gpu.nvlink_island", _plain, why_not="reaches others over PCIe only"),
            Row("NVLinks", "facts.num_nvlinks", count),
            Row("MIG profile", "facts.mig_profile", _plain, why_not="a whole GPU"),
            Row("MIG slice of", "gpu.mig_parent_uuid", _plain, why_not="a whole GPU"),
        ),
    ),
)
SHOWN = frozenset(path for _, rows in _TABLES for row in rows for path in (row.path, row.of) if path)
"""The paths of all fields that the tables show."""


def gpu_figures(
    gpu: Gpu, reading: GpuReading | None, detail: GpuDetail | None, why_no_reading: str, why_no_detail: str
) -> tuple[FigureGroup, ...]:
    """Return every figure of a GPU. The reasons are for lanes that are missing as a whole."""
    sources = {"gpu": gpu, "reading": reading, "detail": detail, "facts": gpu.facts}
    missing = {"reading": why_no_reading, "detail": why_no_detail, "facts": "not read on this node"}
    return groups(_TABLES, Lanes(sources, missing))

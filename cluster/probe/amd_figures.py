"""What one AMD GPU does now, from the files of the amdgpu driver.

Formats: the kernel's documents gpu/amdgpu/thermal (hwmon, busy percent), gpu/amdgpu/driver-misc (memory,
PCIe) and gpu/amdgpu/ras (error counts, bad pages), and kfd_process.c (proc/PID/vram_GPU).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cluster.detail import EccCounts, GpuDetail, NvLinkReading
from cluster.gpu_facts import GpuFacts
from cluster.inventory import MOST_MEMORY_BYTES, GpuProcess
from cluster.probe.amd_cards import AmdCard
from cluster.probe.process_names import ProcessNames
from cluster.probe.query import Answer
from cluster.probe.sysfiles import entries, numa_node, read_count, read_number, read_text
from cluster.telemetry import GpuReading

UNIFIED = "the GPU shares the machine's memory"
_MICRO, _MILLI, _MEGA = 1e-6, 1e-3, 1e-6
_MOST_PIDS = 2**22
_FULL_FAN = 255
_GENERATION_BY_TRANSFERS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}
# Of several sensors the hottest throttles; boards have one to three of them.
_DIE_SENSORS = ("junction", "hotspot", "edge", "")
_FREE_OR_CACHE = ("MemFree", "Active(file)", "Inactive(file)")
_NOT_IN_FILES = "amdgpu gives it in no text file"
_SLOW_COUNTER = "not read: amdgpu's counter blocks for a second"


@dataclass
class Figures:
    """Values by field, and why others are absent."""

    values: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, answer: Answer) -> None:
        """Take an answer in."""
        if answer.value is None:
            self.absent[name] = answer.reason or _NOT_IN_FILES
        else:
            self.values[name] = answer.value

    def put_absent(self, *names: str, reason: str = _NOT_IN_FILES) -> None:
        """Say that this reader never has these figures."""
        self.absent.update(dict.fromkeys(names, reason))


@dataclass(frozen=True, slots=True)
class AmdMemory:
    """Sizes in bytes; `unified` where the GPU has no memory of its own."""

    total: Answer
    used: Answer
    free: Answer
    unified: bool = False


@dataclass(frozen=True, slots=True)
class Sensors:
    """Where the sensors' files are: they do not move while the driver is loaded."""

    die: Path | None
    memory: Path | None
    hwmon: Path

    @classmethod
    def of(cls, card: AmdCard) -> Sensors:
        """Look the sensors of a card up by their labels."""
        hwmon = next(iter(entries(card.device / "hwmon")), card.device / "hwmon")
        by_label: dict[str, Path] = {}
        for number in (1, 2, 3):
            if (hwmon / f"temp{number}_input").exists():
                label = read_text(hwmon / f"temp{number}_label").value or ""
                by_label.setdefault(label, hwmon / f"temp{number}")
        die = next((by_label[label] for label in _DIE_SENSORS if label in by_label), None)
        return cls(die, by_label.get("mem"), hwmon)


def read_card(card: AmdCard, uuid: str, sensors: Sensors, root: Path) -> GpuReading:
    """Return the fast figures of a GPU."""
    figures, hwmon = Figures(), sensors.hwmon
    memory = read_memory(card, root)
    for name, answer in (
        ("memory_total_bytes", memory.total),
        ("memory_used_bytes", memory.used),
        ("memory_free_bytes", memory.free),
        ("utilization_percent", _percent(card.device / "gpu_busy_percent")),
        ("memory_busy_percent", _percent(card.device / "mem_busy_percent")),
        ("temperature_c", _degrees(sensors.die, "input")),
        ("memory_temperature_c", _degrees(sensors.memory, "input")),
        ("power_w", _power(hwmon)),
        ("power_limit_w", read_number(hwmon / "power1_cap", scale=_MICRO)),
        ("sm_clock_mhz", read_number(hwmon / "freq1_input", scale=_MEGA)),
        ("memory_clock_mhz", read_number(hwmon / "freq2_input", scale=_MEGA)),
        ("fan_percent", read_number(hwmon / "pwm1", scale=100 / _FULL_FAN)),
    ):
        figures.put(name, answer)
    figures.put_absent(
        "energy_j", "encoder_percent", "decoder_percent", "performance_state", "throttle_reasons"
    )
    error = None if card.device.exists() else "the GPU is no longer on the PCI bus; see the kernel log"
    processes = read_processes(card, root)
    return GpuReading(uuid=uuid, **figures.values, absent=figures.absent, processes=processes, error=error)


def read_memory(card: AmdCard, root: Path) -> AmdMemory:
    """Return the sizes of a GPU's own memory, or of its NUMA node's where it has none (an MI300A)."""
    total = read_count(card.device / "mem_info_vram_total")
    used = read_count(card.device / "mem_info_vram_used")
    if total.value == 0:
        return _unified_memory(card, root)
    if total.value is None or used.value is None or used.value > total.value > 0:
        reason = total.reason or used.reason or "used exceeds the total"
        return AmdMemory(total, Answer(None, reason), Answer(None, reason))
    if total.value > MOST_MEMORY_BYTES:
        impossible = Answer(None, "the driver reports an impossible size")
        return AmdMemory(impossible, impossible, impossible)
    return AmdMemory(total, used, Answer(total.value - used.value))


def _unified_memory(card: AmdCard, root: Path) -> AmdMemory:
    numa = numa_node(card.device)
    of_node = _meminfo(root / f"sys/devices/system/node/node{numa}/meminfo") if numa is not None else {}
    memory = of_node if "MemTotal" in of_node else _meminfo(root / "proc/meminfo")
    total = memory.get("MemTotal")
    # A NUMA node's file has no MemAvailable: what the page cache holds can be had back.
    free = memory.get("MemAvailable") or sum(memory.get(name, 0) for name in _FREE_OR_CACHE)
    if total is None or not 0 < free <= total:
        unknown = Answer(None, f"{UNIFIED}, whose size could not be read")
        return AmdMemory(unknown, unknown, unknown, unified=True)
    return AmdMemory(Answer(total), Answer(None, UNIFIED), Answer(free), unified=True)


def _meminfo(path: Path) -> dict[str, int]:
    """Return sizes in bytes by name, from 'MemTotal: 123 kB' or 'Node 0 MemTotal: 123 kB'."""
    sizes = {}
    for line in (read_text(path).value or "").splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) == 2 and words[0].isdigit() and words[1] == "kB":
            sizes[name.split()[-1]] = int(words[0]) * 1024
    return sizes


def read_processes(card: AmdCard, root: Path) -> tuple[GpuProcess, ...]:
    """List the processes that hold memory on the GPU, largest first, as kfd counts them."""
    if card.gpu_id is None:
        return ()
    held = {}
    for folder in entries(root / "sys/class/kfd/kfd/proc"):
        size = read_count(folder / f"vram_{card.gpu_id}").value
        # A process that uses other GPUs only has a file for this one too, with 0 in it.
        if (
            size
            and folder.name.isdigit()
            and 0 < int(folder.name) <= _MOST_PIDS
            and size <= MOST_MEMORY_BYTES
        ):
            held[int(folder.name)] = size
    ordered = sorted(held.items(), key=lambda item: (-item[1], item[0]))
    names = _process_names(root / "proc")
    return tuple(names.process(pid, size) for pid, size in ordered)


@cache
def _process_names(proc: Path) -> ProcessNames:
    return ProcessNames(proc)


def read_facts(card: AmdCard, sensors: Sensors) -> GpuFacts:
    """Return the fixed figures of a GPU."""
    figures, hwmon = Figures(), sensors.hwmon
    for name, answer in (
        ("max_sm_clock_mhz", _fastest(card.device / "pp_dpm_sclk")),
        ("max_memory_clock_mhz", _fastest(card.device / "pp_dpm_mclk")),
        ("slowdown_temperature_c", _degrees(sensors.die, "crit")),
        ("shutdown_temperature_c", _degrees(sensors.die, "emergency")),
        ("max_memory_temperature_c", _degrees(sensors.memory, "crit")),
        ("default_power_limit_w", read_number(hwmon / "power1_cap_default", scale=_MICRO)),
        ("max_power_limit_w", read_number(hwmon / "power1_cap_max", scale=_MICRO)),
        ("max_pcie_generation", _generation(card.device / "max_link_speed")),
        ("max_pcie_width", read_count(card.device / "max_link_width")),
    ):
        figures.put(name, answer)
    figures.put("num_nvlinks", Answer(len(card.links)))
    figures.put_absent("mig_profile", reason="AMD GPUs have no MIG")
    return GpuFacts(**figures.values, absent=figures.absent)


def read_detail(card: AmdCard, uuid: str, bus_ids: dict[int, str]) -> GpuDetail:
    """Return the slow figures of a GPU; `bus_ids` holds the PCI addresses of all GPUs by index."""
    figures, device = Figures(), card.device
    for name, answer in (
        ("pcie_generation", _generation(device / "current_link_speed")),
        ("pcie_width", read_count(device / "current_link_width")),
        ("pcie_replays", read_count(device / "pcie_replay_count")),
    ):
        figures.put(name, answer)
    figures.put_absent("pcie_received_bytes_per_s", "pcie_sent_bytes_per_s", reason=_SLOW_COUNTER)
    figures.put_absent("remapped_corrected", "remapped_uncorrected", "remap_pending", "remap_failed")
    figures.put_absent("recovery_action", "bar1_used_bytes", "bar1_total_bytes", "fabric_state")
    figures.put_absent("fabric_problems")
    _put_bad_pages(figures, device / "ras/gpu_vram_bad_pages")
    ecc, reason = _errors(device / "ras/umc_err_count")
    figures.absent |= {"ecc": reason} if reason else {}
    links = tuple(
        NvLinkReading(link=number, active=True, bytes_per_s=link.bytes_per_s, remote=bus_ids.get(link.peer))
        for number, link in enumerate(card.links)
    )
    return GpuDetail(uuid=uuid, **figures.values, ecc=ecc, links=links, absent=figures.absent)


def _put_bad_pages(figures: Figures, path: Path) -> None:
    """Count lines such as '0x00000001 : 0x00001000 : R'; R is retired, P will be at the next reset."""
    text = read_text(path)
    if text.value is None:
        figures.put_absent("retired_pages", "retirement_pending", reason=text.reason or _NOT_IN_FILES)
        return
    flags = [line.rsplit(":", 1)[-1].strip() for line in text.value.splitlines() if line.count(":") == 2]
    figures.values["retired_pages"] = flags.count("R")
    figures.values["retirement_pending"] = "P" in flags


def _errors(path: Path) -> tuple[EccCounts, str | None]:
    """Return the memory's errors since the driver was loaded, from 'ue: 0' and 'ce: 3'."""
    text = read_text(path)
    counts = {}
    for line in (text.value or "").splitlines():
        name, _, count = line.partition(":")
        if count.strip().isdigit():
            counts[name.strip()] = int(count)
    corrected, uncorrected = counts.get("ce"), counts.get("ue")
    reason = text.reason if text.value is None else None
    return EccCounts(volatile_corrected=corrected, volatile_uncorrected=uncorrected), reason


def _percent(path: Path) -> Answer:
    answer = read_number(path)
    return answer if answer.value is None or answer.value <= 100 else Answer(None, "more than 100 %")


def _degrees(sensor: Path | None, what: str) -> Answer:
    if sensor is None:
        return Answer(None, "this board has no such sensor")
    return read_number(sensor.parent / f"{sensor.name}_{what}", scale=_MILLI)


def _power(hwmon: Path) -> Answer:
    """Return the average power, or where a board has only that the power at this moment."""
    average = read_number(hwmon / "power1_average", scale=_MICRO)
    return average if average.value is not None else read_number(hwmon / "power1_input", scale=_MICRO)


def _generation(path: Path) -> Answer:
    """Return the PCIe generation of a speed such as '16.0 GT/s PCIe'."""
    speed = read_number(path)
    if speed.value is None:
        return speed
    generation = _GENERATION_BY_TRANSFERS.get(speed.value)
    return Answer(generation, None if generation else f"unknown speed {speed.value:g} GT/s")


def _fastest(path: Path) -> Answer:
    """Return the highest clock of lines such as '1: 2100Mhz *', in MHz."""
    text = read_text(path)
    if text.value is None:
        return text
    clocks = [line.partition(":")[2].strip().lower().partition("mhz")[0] for line in text.value.splitlines()]
    known = [float(clock) for clock in clocks if clock.isdigit()]
    return Answer(max(known)) if known else Answer(None, "the driver gives no number")

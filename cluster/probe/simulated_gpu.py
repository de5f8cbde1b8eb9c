"""One GPU that does not exist: what runs on it, what is wrong with it, and the readings that follow."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from typing import Any

from cluster.detail import EccCounts, GpuDetail, NvLinkReading, XidEvent
from cluster.inventory import GpuProcess
from cluster.probe.simulated_board import (
    IDLE_SM_CLOCK_MHZ,
    MAX_MEMORY_CLOCK_MHZ,
    MAX_SM_CLOCK_MHZ,
    PCIE_WIDTH,
    Board,
    GpuLike,
)
from cluster.telemetry import GpuReading
from cluster.units import MIB

_IDLE_BYTES = 4 * MIB
_BAR1_BYTES = 128 * 1024 * MIB
_IDLE_POWER_SHARE = 0.13
_LOADING_POWER_SHARE = 0.22
_BUSY_POWER_SHARE = 0.93
_LOADING_UTILIZATION = 7.0
_AMBIENT_C = 29.0
_FULL_POWER_RISE_C = 38.0
_MEMORY_WARMER_C = 7.0
_POWER_SETTLES_S = 1.5
_TEMPERATURE_SETTLES_S = 40.0
_FAULT_SETTLES_S = 4.0
_NOT_SIMULATED = "not simulated"


@dataclass(frozen=True, slots=True)
class Load:
    """What runs on a simulated GPU. Fractions are 0 to 1."""

    planned_bytes: int = 0
    loading_fraction: float = 0.0
    busy_fraction: float = 0.0
    process_name: str | None = None
    pid: int | None = None
    user: str | None = None
    command: str | None = None
    other_namespace: bool = False

    @property
    def held_bytes(self) -> int:
        return round(self.planned_bytes * self.loading_fraction)

    @property
    def is_loading(self) -> bool:
        return self.planned_bytes > 0 and self.loading_fraction < 1.0


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong with a simulated GPU; the default is nothing."""

    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    throttle_reasons: tuple[str, ...] = ()
    power_limit_w: float | None = None
    lost: str | None = None
    links_down: int = 0
    link_errors: int = 0
    pcie_generation: int | None = None
    pcie_width: int | None = None
    ecc_corrected: int = 0
    ecc_uncorrected: int = 0
    remapped_rows: int = 0
    remap_pending: bool = False
    remap_failed: bool = False
    recovery_action: str = "none"
    fabric_problems: tuple[str, ...] = ()
    xids: tuple[XidEvent, ...] = ()


class SimulatedGpu:
    """Power, clocks and temperature ease towards what the loads and the condition ask for."""

    def __init__(self, gpu: GpuLike, board: Board, uuid: str, first_pid: int, rng: random.Random) -> None:
        self.gpu, self.board, self.uuid, self._first_pid = gpu, board, uuid, first_pid
        self.deployed, self.others, self.condition = Load(), tuple[Load, ...](), Condition()
        self._phase = rng.uniform(0.0, 2 * math.pi)
        self._warmer_c = rng.uniform(0.0, 4.0)
        self._power_share = _IDLE_POWER_SHARE
        self._temperature_c = self._settled_c()
        self._energy_j = 0.0
        self._read_at_s: float | None = None

    @property
    def loads(self) -> tuple[Load, ...]:
        return (self.deployed, *self.others)

    @property
    def used_bytes(self) -> int:
        held = sum(load.held_bytes for load in self.loads)
        return min(self.gpu.memory_bytes, _IDLE_BYTES + held)

    def processes(self) -> tuple[GpuProcess, ...]:
        """Return those that hold memory, largest first."""
        holding = [load for load in self.loads if load.process_name is not None and load.held_bytes > 0]
        holding.sort(key=lambda load: -load.held_bytes)
        return tuple(self._process(load, number) for number, load in enumerate(holding))

    def _process(self, load: Load, number: int) -> GpuProcess:
        known = {} if load.other_namespace else {"name": load.process_name, "user": load.user}
        return GpuProcess(
            pid=load.pid or self._first_pid + number,
            memory_bytes=min(load.held_bytes, self.gpu.memory_bytes),
            command=None if load.other_namespace else load.command,
            sm_percent=None if load.is_loading else round(100.0 * load.busy_fraction, 1),
            other_namespace=load.other_namespace,
            **known,
        )

    def read(self, now_s: float) -> GpuReading:
        """Return the fast figures at `now_s`, which must not go back."""
        self._advance(now_s)
        if self.condition.lost is not None:
            absent = dict.fromkeys(_FAST_FIGURES, self.condition.lost)
            return GpuReading(uuid=self.uuid, error=self.condition.lost, absent=absent)
        absent = dict.fromkeys(("encoder_percent", "decoder_percent", "fan_percent"), _NOT_SIMULATED)
        figures = self._figures(now_s)
        if self.gpu.power_limit_w is None:
            absent |= dict.fromkeys(("power_w", "power_limit_w", "energy_j"), "not in the GPU catalog")
        return GpuReading(uuid=self.uuid, processes=self.processes(), absent=absent, **figures)

    def _figures(self, now_s: float) -> dict[str, Any]:
        used, utilization = self.used_bytes, self._utilization(now_s)
        limit_w, idle = self._limit_w(), utilization == 0.0
        share = self._power_share * (1.0 + 0.01 * self._wobble(now_s))
        return {
            "memory_total_bytes": self.gpu.memory_bytes,
            "memory_used_bytes": used,
            "memory_free_bytes": self.gpu.memory_bytes - used,
            "utilization_percent": utilization,
            "memory_busy_percent": float(round(0.6 * utilization)),
            "temperature_c": round(self._temperature_c),
            "memory_temperature_c": round(self._temperature_c + _MEMORY_WARMER_C),
            "power_w": None if limit_w is None else round(min(limit_w, self._full_w() * share), 1),
            "power_limit_w": limit_w,
            "energy_j": None if limit_w is None else round(self._energy_j, 1),
            "performance_state": 8 if idle else 0,
            "sm_clock_mhz": self._clock_mhz(idle),
            "memory_clock_mhz": MAX_MEMORY_CLOCK_MHZ,
            "throttle_reasons": self.condition.throttle_reasons or (("idle",) if idle else ()),
        }

    def detail(self) -> GpuDetail:
        """Return the slow figures."""
        bad, board = self.condition, self.board
        if bad.lost is not None:
            return GpuDetail(uuid=self.uuid, absent=dict.fromkeys(_SLOW_FIGURES, bad.lost))
        return GpuDetail(
            uuid=self.uuid,
            pcie_generation=bad.pcie_generation or board.pcie_generation,
            pcie_width=bad.pcie_width or PCIE_WIDTH,
            pcie_replays=0,
            links=tuple(self._link(number) for number in range(board.num_links)),
            ecc=EccCounts(
                volatile_corrected=bad.ecc_corrected,
                volatile_uncorrected=bad.ecc_uncorrected,
                aggregate_corrected=bad.ecc_corrected,
                aggregate_uncorrected=bad.ecc_uncorrected,
            ),
            remapped_corrected=0,
            remapped_uncorrected=bad.remapped_rows,
            remap_pending=bad.remap_pending,
            remap_failed=bad.remap_failed,
            recovery_action=bad.recovery_action,
            xids=bad.xids,
            bar1_used_bytes=_IDLE_BYTES,
            bar1_total_bytes=_BAR1_BYTES,
            fabric_problems=bad.fabric_problems,
            absent=dict.fromkeys(_UNREAD_SLOW_FIGURES, _NOT_SIMULATED),
        )

    def _link(self, number: int) -> NvLinkReading:
        # The last links of a GPU go down first, so that a scene says how many, not which.
        active = number < self.board.num_links - self.condition.links_down
        switched = self.gpu.nvlink_topology == "nvswitch"
        return NvLinkReading(
            link=number,
            active=active,
            bytes_per_s=self.board.link_bytes_per_s if active else None,
            remote="switch" if switched else None,
            errors=self.condition.link_errors if number == 0 else 0,
        )

    def _advance(self, now_s: float) -> None:
        elapsed_s = 0.0 if self._read_at_s is None else max(0.0, now_s - self._read_at_s)
        self._read_at_s = now_s
        self._energy_j += elapsed_s * self._power_share * self._full_w()
        share = self._asked_power_share()
        self._power_share += (share - self._power_share) * _eased(elapsed_s, _POWER_SETTLES_S)
        forced_c = self.condition.temperature_c
        settles_s = _TEMPERATURE_SETTLES_S if forced_c is None else _FAULT_SETTLES_S
        goal_c = self._settled_c() if forced_c is None else forced_c
        self._temperature_c += (goal_c - self._temperature_c) * _eased(elapsed_s, settles_s)

    def settle(self) -> None:
        """Take on at once what the loads and the condition ask for, as if they had been there for long."""
        self._power_share = self._asked_power_share()
        forced_c = self.condition.temperature_c
        self._temperature_c = self._settled_c() if forced_c is None else forced_c

    def _asked_power_share(self) -> float:
        if any(load.is_loading for load in self.loads):
            return _LOADING_POWER_SHARE
        busy = self._busy_fraction()
        return _IDLE_POWER_SHARE + (_BUSY_POWER_SHARE - _IDLE_POWER_SHARE) * math.pow(busy, 0.8)

    def _busy_fraction(self) -> float:
        return min(1.0, sum(load.busy_fraction for load in self.loads))

    def _utilization(self, now_s: float) -> float:
        loading = any(load.is_loading for load in self.loads)
        percent = _LOADING_UTILIZATION if loading else 100.0 * self._busy_fraction()
        if percent == 0.0:
            return 0.0
        return float(round(min(100.0, max(0.0, percent + 3.0 * self._wobble(now_s)))))

    def _clock_mhz(self, idle: bool) -> float:
        clock = IDLE_SM_CLOCK_MHZ if idle else MAX_SM_CLOCK_MHZ
        return clock if self.condition.sm_clock_mhz is None else min(clock, self.condition.sm_clock_mhz)

    def _full_w(self) -> float:
        return self.gpu.power_limit_w or 0.0

    def _limit_w(self) -> float | None:
        return self.gpu.power_limit_w and (self.condition.power_limit_w or self.gpu.power_limit_w)

    def _wobble(self, now_s: float) -> float:
        """Return a smooth value from -1 to 1 with periods of some seconds."""
        slow, fast = math.sin(now_s / 3.1 + self._phase), math.sin(now_s / 1.3 + 2 * self._phase)
        return 0.7 * slow + 0.3 * fast

    def _settled_c(self) -> float:
        return _AMBIENT_C + self._warmer_c + _FULL_POWER_RISE_C * self._power_share


def within_bounds(load: Load) -> Load:
    """Return the load with fractions outside 0 to 1 taken as the nearest end, and no negative bytes."""
    return replace(
        load,
        planned_bytes=max(0, load.planned_bytes),
        loading_fraction=min(1.0, max(0.0, load.loading_fraction)),
        busy_fraction=min(1.0, max(0.0, load.busy_fraction)),
    )


def _eased(elapsed_s: float, settles_s: float) -> float:
    return 1.0 - math.exp(-elapsed_s / settles_s)


_FAST_FIGURES = tuple(
    name for name in GpuReading.model_fields if name not in ("uuid", "processes", "absent", "error")
)
_UNREAD_SLOW_FIGURES = (
    "pcie_received_bytes_per_s",
    "pcie_sent_bytes_per_s",
    "retired_pages",
    "retirement_pending",
    "fabric_state",
)
_SLOW_FIGURES = tuple(name for name in GpuDetail.model_fields if name not in ("uuid", "absent"))

"""GPUs that do not exist: readings that follow the deployments on them, and are marked as simulated.

Deterministic: the same seed, loads and times give the same readings. Values move smoothly towards what the
load asks for, as a sensor's would; nothing here is measured, and every reading carries `simulated=True`.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from cluster.detail import NodeDetail
from cluster.inventory import Gpu, GpuProcess, Node
from cluster.telemetry import GpuReading, NodeReading
from cluster.units import MIB

_IDLE_BYTES = 4 * MIB
_IDLE_POWER_SHARE = 0.13
_LOADING_POWER_SHARE = 0.22
_BUSY_POWER_SHARE = 0.93
_LOADING_UTILIZATION = 7.0
_AMBIENT_C = 29.0
_FULL_POWER_RISE_C = 38.0
_POWER_SETTLES_S = 1.5
_TEMPERATURE_SETTLES_S = 40.0
_FIRST_PID = 4_000_000


class GpuLike(Protocol):
    """The part of a catalog entry that a simulation needs."""

    @property
    def type(self) -> str: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def compute_capability(self) -> tuple[int, int]: ...
    @property
    def nvlink_topology(self) -> Literal["nvswitch", "mesh", "bridge", "none"]: ...
    @property
    def nvlink_domain_gpus(self) -> int: ...
    @property
    def power_limit_w(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Load:
    """What runs on a simulated GPU. Fractions are 0 to 1."""

    planned_bytes: int = 0
    loading_fraction: float = 0.0
    busy_fraction: float = 0.0
    process_name: str | None = None

    @property
    def held_bytes(self) -> int:
        return round(self.planned_bytes * self.loading_fraction)

    @property
    def is_loading(self) -> bool:
        return self.planned_bytes > 0 and self.loading_fraction < 1.0

    @property
    def power_share(self) -> float:
        if self.is_loading:
            return _LOADING_POWER_SHARE
        return _IDLE_POWER_SHARE + (_BUSY_POWER_SHARE - _IDLE_POWER_SHARE) * math.pow(self.busy_fraction, 0.8)


class _Sensors:
    """Power and temperature of one GPU, easing towards the load's."""

    def __init__(self, rng: random.Random) -> None:
        self.load = Load()
        self.phase = rng.uniform(0.0, 2 * math.pi)
        self._warmer_c = rng.uniform(0.0, 4.0)
        self.power_share = _IDLE_POWER_SHARE
        self.temperature_c = self._settled_c()
        self._read_at_s: float | None = None

    def advance(self, now_s: float) -> None:
        elapsed_s = 0.0 if self._read_at_s is None else max(0.0, now_s - self._read_at_s)
        self._read_at_s = now_s
        self.power_share += (self.load.power_share - self.power_share) * _eased(elapsed_s, _POWER_SETTLES_S)
        rise = _eased(elapsed_s, _TEMPERATURE_SETTLES_S)
        self.temperature_c += (self._settled_c() - self.temperature_c) * rise

    def wobble(self, now_s: float) -> float:
        """Return a smooth value from -1 to 1 with periods of some seconds."""
        slow, fast = math.sin(now_s / 3.1 + self.phase), math.sin(now_s / 1.3 + 2 * self.phase)
        return 0.7 * slow + 0.3 * fast

    def _settled_c(self) -> float:
        return _AMBIENT_C + self._warmer_c + _FULL_POWER_RISE_C * self.power_share


def _eased(elapsed_s: float, settles_s: float) -> float:
    return 1.0 - math.exp(-elapsed_s / settles_s)


class SimulatedGpus:
    """The GPUs of one simulated node: `node()` says what exists, `reading()` what they do now."""

    def __init__(
        self,
        gpu: GpuLike,
        count: int,
        node_id: str,
        seed: int = 0,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gpu, self._node_id, self._clock = gpu, node_id, clock
        self._sensors = [_Sensors(random.Random(f"{seed}/{index}")) for index in range(count)]

    def set_load(
        self,
        gpu_index: int,
        planned_bytes: int,
        loading_fraction: float,
        busy_fraction: float,
        process_name: str | None,
    ) -> None:
        """Set the load of a GPU: `loading_fraction` of `planned_bytes` is held, and it is busy that much.

        All zero and None frees the GPU. Fractions outside 0 to 1 are taken as the nearest end.
        """
        loading, busy = (min(1.0, max(0.0, fraction)) for fraction in (loading_fraction, busy_fraction))
        self._sensors[gpu_index].load = Load(max(0, planned_bytes), loading, busy, process_name)

    def node(self, name: str, *, address: str | None = None, nvlink_domain: str | None = None) -> Node:
        """Describe the node with what is free at this moment."""
        gpus = tuple(self._describe(index) for index in range(len(self._sensors)))
        return Node(node_id=self._node_id, name=name, gpus=gpus, address=address, nvlink_domain=nvlink_domain)

    def reading(self, now_s: float | None = None) -> NodeReading:
        """Read all GPUs at `now_s`, by default now; times must not go back."""
        at_s = self._clock() if now_s is None else now_s
        gpus = tuple(self._read(index, at_s) for index in range(len(self._sensors)))
        return NodeReading(node_id=self._node_id, taken_at_s=at_s, gpus=gpus, simulated=True)

    def detail(self) -> NodeDetail | None:
        """Read the slow figures; None: none are simulated."""
        return None

    def _describe(self, index: int) -> Gpu:
        return Gpu(
            index=index,
            uuid=self._uuid(index),
            type=self._gpu.type,
            memory_total_bytes=self._gpu.memory_bytes,
            memory_free_bytes=self._gpu.memory_bytes - self._used_bytes(index),
            compute_capability=self._gpu.compute_capability,
            nvlink_island=self._island(index),
            processes=self._processes(index),
        )

    def _read(self, index: int, now_s: float) -> GpuReading:
        sensors, limit_w = self._sensors[index], self._gpu.power_limit_w
        sensors.advance(now_s)
        used = self._used_bytes(index)
        absent = {} if limit_w else dict.fromkeys(("power_w", "power_limit_w"), "not in the GPU catalog")
        power_share = sensors.power_share * (1.0 + 0.01 * sensors.wobble(now_s))
        return GpuReading(
            uuid=self._uuid(index),
            memory_total_bytes=self._gpu.memory_bytes,
            memory_used_bytes=used,
            memory_free_bytes=self._gpu.memory_bytes - used,
            utilization_percent=self._utilization(sensors, now_s),
            temperature_c=round(sensors.temperature_c),
            power_w=round(limit_w * power_share, 1) if limit_w else None,
            power_limit_w=limit_w,
            processes=self._processes(index),
            absent=absent,
        )

    def _utilization(self, sensors: _Sensors, now_s: float) -> float:
        load = sensors.load
        percent = _LOADING_UTILIZATION if load.is_loading else 100.0 * load.busy_fraction
        if percent == 0.0:
            return 0.0
        return float(round(min(100.0, max(0.0, percent + 3.0 * sensors.wobble(now_s)))))

    def _used_bytes(self, index: int) -> int:
        return min(self._gpu.memory_bytes, _IDLE_BYTES + self._sensors[index].load.held_bytes)

    def _processes(self, index: int) -> tuple[GpuProcess, ...]:
        load = self._sensors[index].load
        if load.process_name is None or load.held_bytes == 0:
            return ()
        pid = _FIRST_PID + index
        return (GpuProcess(pid=pid, name=load.process_name, memory_bytes=load.held_bytes),)

    def _uuid(self, index: int) -> str:
        digest = hashlib.sha256(f"{self._node_id}/{index}".encode()).hexdigest()
        return f"SIM-{digest[:8]}-{index}"

    def _island(self, index: int) -> str | None:
        size = self._gpu.nvlink_domain_gpus
        if self._gpu.nvlink_topology == "none" or size < 2 or len(self._sensors) < 2:
            return None
        first = index - index % size
        alone = len(self._sensors) - first == 1
        return None if alone else f"nvlink-{index // size}"

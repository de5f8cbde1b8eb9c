"""What the hardware is doing now: one reading per GPU, one set of readings per node."""

from __future__ import annotations

from typing import Literal

from cluster.frozen import FrozenModel
from cluster.inventory import GpuProcess
from cluster.text import CleanStr, RepeatedStr

NodeState = Literal["ok", "stale", "hung", "lost", "no_gpus"]
UNRELIABLE_STATES: tuple[NodeState, ...] = ("stale", "hung", "lost")
"""What was last read of a node in such a state says nothing about now."""
STALE_AFTER_S = 10.0
"""A reading that is older says nothing about now, although its node may seem well."""


class GpuReading(FrozenModel):
    """One GPU at one moment. A field is None if there is no reading; `absent` says why."""

    uuid: RepeatedStr
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    utilization_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    """The limit in force."""
    energy_j: float | None = None
    """Since the driver was loaded."""
    memory_busy_percent: float | None = None
    """Share of time in which memory was read or written."""
    encoder_percent: float | None = None
    decoder_percent: float | None = None
    memory_temperature_c: float | None = None
    fan_percent: float | None = None
    performance_state: int | None = None
    """P-state: 0 is the fastest."""
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    throttle_reasons: tuple[RepeatedStr, ...] | None = None
    """Why clocks are below their maximum: 'hw_thermal', 'sw_thermal', 'hw_power_brake', 'sw_power_cap',
    'hw_slowdown', 'sync_boost', 'display', 'applications_clocks', 'board_limit', 'reliability', 'idle', or
    the driver's number of a reason without a name here, '0x800'. (): nothing does."""
    processes: tuple[GpuProcess, ...] = ()
    absent: dict[RepeatedStr, RepeatedStr] = {}
    """Field name -> why it has no value ('not supported by this GPU')."""
    error: CleanStr | None = None
    """Set if the GPU itself is lost or must be reset."""


class HostReading(FrozenModel):
    """What the machine around the GPUs is doing; a field is None if there is no reading, see `absent`."""

    cpu_percent: float | None = None
    """Of all cores together: 0 to 100."""
    num_cpus: int | None = None
    load_1m: float | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    disk_total_bytes: int | None = None
    """Of the file system that holds the model cache, or else /."""
    disk_free_bytes: int | None = None
    network_received_bytes_per_s: float | None = None
    network_sent_bytes_per_s: float | None = None
    absent: dict[RepeatedStr, RepeatedStr] = {}


class NodeReading(FrozenModel):
    """All GPUs of a node at one moment."""

    node_id: CleanStr
    taken_at_s: float
    """Unix time on the reader's clock when the reading arrived."""
    state: NodeState = "ok"
    reason: CleanStr | None = None
    gpus: tuple[GpuReading, ...] = ()
    host: HostReading | None = None
    simulated: bool = False

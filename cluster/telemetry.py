"""What the hardware is doing now: one reading per GPU, one set of readings per node."""

from __future__ import annotations

from typing import Literal

from cluster.frozen import FrozenModel
from cluster.inventory import GpuProcess
from cluster.text import CleanStr

NodeState = Literal["ok", "stale", "hung", "lost", "no_gpus"]


class GpuReading(FrozenModel):
    """One GPU at one moment. A field is None if there is no reading; `absent` says why."""

    uuid: CleanStr
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    memory_free_bytes: int | None = None
    utilization_percent: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    processes: tuple[GpuProcess, ...] = ()
    absent: dict[CleanStr, CleanStr] = {}
    """Field name -> why it has no value ('not supported by this GPU')."""
    error: CleanStr | None = None
    """Set if the GPU itself is lost or must be reset."""


class NodeReading(FrozenModel):
    """All GPUs of a node at one moment."""

    node_id: CleanStr
    taken_at_s: float
    """Unix time on the reader's clock when the reading arrived."""
    state: NodeState = "ok"
    reason: CleanStr | None = None
    gpus: tuple[GpuReading, ...] = ()
    simulated: bool = False

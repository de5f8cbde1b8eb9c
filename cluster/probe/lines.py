"""Messages to and from the probe process: one JSON line each."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from cluster.detail import NodeDetail
from cluster.frozen import FrozenModel
from cluster.inventory import Node
from cluster.probe.visible import Visible
from cluster.telemetry import NodeReading


class LeftOut(FrozenModel):
    """An NVML call that is not to be made."""

    function: str
    gpu_index: int | None = None
    """None: on no GPU."""
    reason: str


class ProbeOrder(FrozenModel):
    """Everything a probe process must know, given as its only argument."""

    node_id: str
    name: str
    parent_pid: int
    mark_fd: int
    """Where it notes which NVML call it is in, so that its parent can name the one that hangs."""
    interval_s: float = 1.0
    detail_interval_s: float = 5.0
    inventory_interval_s: float = 15.0
    once: bool = False
    skipped: dict[int, str] = Field(default_factory=dict)
    """GPU index -> why it is not to be touched."""
    left_out: tuple[LeftOut, ...] = ()
    visible: Visible | None = None
    root: str = "/"
    """Where /sys, /proc and /usr lie, for what is read from files."""


class ProbeLine(FrozenModel):
    """One line of the probe process: what exists, what it is doing, or its slow figures."""

    node: Node | None = None
    reading: NodeReading | None = None
    detail: NodeDetail | None = None


class Seen(NamedTuple):
    """What was last read of a node."""

    node: Node
    reading: NodeReading
    detail: NodeDetail | None = None
    """None until the slow figures have been read once."""

"""One thing seen to be wrong with a GPU, and everything that is known about a GPU when it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from cluster.detail import GpuDetail
from cluster.gpu_facts import GpuFacts
from cluster.gpu_health import Slowdown
from cluster.inventory import Gpu
from cluster.telemetry import GpuReading

LEAST_SHARE = 0.01
"""Of a rate: what is slower than this is as good as stopped, and a rate of 0 divides nothing."""
FULL = Slowdown()


@dataclass(frozen=True, slots=True)
class Sign:
    """A finding before it is settled: its code in thresholds.toml, its evidence, and what it slows down."""

    code: str
    text: str
    slowdown: Slowdown = FULL


class GpuSeen(NamedTuple):
    """A GPU with the latest that was read of it. A tuple, as thousands are made a second."""

    gpu: Gpu
    reading: GpuReading
    detail: GpuDetail
    facts: GpuFacts

    @property
    def used_percent(self) -> float | None:
        return self.reading.utilization_percent


class SlowSeen(NamedTuple):
    """A GPU's slow figures, and what its type and its neighbors show about its NVLinks."""

    detail: GpuDetail
    now_s: float
    """Unix time of the figures."""
    expected_nvlinks: int | None = None
    """Links that should be up; None: unknown, or none."""
    switched: bool = False
    """Its links, or its neighbors', lead to NVLink switches."""


def at_least(share: float) -> float:
    """Return a share within its bounds."""
    return min(1.0, max(LEAST_SHARE, share))


def both(one: Slowdown, other: Slowdown) -> Slowdown:
    """Return what is left of each rate under two findings: the smaller share; they often have one cause."""
    if other is FULL:
        return one
    if one is FULL:
        return other
    return Slowdown(
        compute=min(one.compute, other.compute),
        memory=min(one.memory, other.memory),
        nvlink=min(one.nvlink, other.nvlink),
        pcie=min(one.pcie, other.pcie),
    )

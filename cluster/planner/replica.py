"""One replica: a model under one engine, split over GPUs. Memory, rules and time are computed from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import DRIVER_RESERVED_BYTES, GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.inventory import MeasuredLink
from cluster.planner.launch import Launch
from cluster.planner.layout import Layout, StageRange
from cluster.planner.placement.condition import SOUND, Condition

TpLink = Literal["none", "nvlink", "nvlink_domain", "pcie", "network"]


@dataclass(frozen=True, slots=True)
class RankGpu:
    """The GPU that a rank gets."""

    total_bytes: int
    """As NVML reports it."""
    free_bytes: int
    spec: GpuSpec | None = None
    """None: a GPU of which only the memory is known."""

    @property
    def usable_total_bytes(self) -> int:
        """The total that CUDA reports."""
        return usable_total_bytes(self.total_bytes)

    @property
    def usable_free_bytes(self) -> int:
        """Free part of it; NVML counts the driver's reserve as used even on an idle GPU."""
        return min(self.free_bytes, self.usable_total_bytes)

    @property
    def generation(self) -> int | None:
        """The major compute capability, by which engines choose kernels."""
        return self.spec.compute_capability[0] if self.spec else None

    @property
    def switched(self) -> bool:
        """True if the GPUs of a node are, or may be, connected by an NVLink switch."""
        return self.spec is None or self.spec.nvlink_topology == "nvswitch"


@dataclass(frozen=True, slots=True)
class Rank:
    """The largest rank of a pipeline stage, on the GPU with the least room among those of the stage."""

    stage: StageRange
    gpu: RankGpu


@dataclass(frozen=True, slots=True)
class ReplicaLinks:
    """The links that a replica's groups communicate over."""

    tp_link: TpLink = "none"
    """The slowest link inside a tensor-parallel group: 'nvlink' within a node, 'nvlink_domain' over nodes of
    one NVLink domain, 'network' across nodes."""
    pp_crosses_node: bool = False
    """Neighboring stages sit on different nodes."""
    network_bytes_per_s: float | None = None
    """A node's network per direction; None: the usual rate of links.toml."""
    gpus_per_node: int = 8
    measured: tuple[MeasuredLink, ...] = ()
    """Links measured on this cluster, which replace the constants."""
    condition: Condition = SOUND
    """What the worst GPU leaves of its links."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One full copy of a model: its engine, launch options, layout, and where it runs."""

    model: ModelSpec
    engine: EngineProfile
    launch: Launch
    layout: Layout
    """Of this one replica."""
    ranks: tuple[Rank, ...] = ()
    """One for each pipeline stage, in order."""
    links: ReplicaLinks = ReplicaLinks()
    condition: Condition = SOUND
    """What the worst of its GPUs leaves of the rates; it paces the others."""
    paced_by: GpuSpec | None = None
    """The slowest GPU type it runs on, which sets the pace of a pipeline; None if unknown."""

    @property
    def slowest(self) -> GpuSpec:
        """The GPU type that sets the pace; only a replica on known GPUs may be timed."""
        assert self.paced_by is not None
        return self.paced_by

    @property
    def stages(self) -> tuple[StageRange, ...]:
        return tuple(rank.stage for rank in self.ranks)

    @property
    def whole_model(self) -> StageRange:
        """All layers as if they were one stage."""
        return StageRange(0, 0, self.model.num_layers, True, True)

    def started_with(self, launch: Launch) -> Replica:
        """Return the same replica with another launch."""
        return replace(self, launch=launch)


def usable_total_bytes(gpu_total_bytes: int) -> int:
    """Return the total that CUDA reports: what NVML reports minus the driver's reserve."""
    return max(0, gpu_total_bytes - DRIVER_RESERVED_BYTES)

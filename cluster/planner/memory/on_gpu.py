"""One rank on its GPU: everything that its memory depends on."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout, StageRange
from cluster.planner.memory.limits import EngineLimits, compute_dtype_bytes
from cluster.planner.request import PlanRequest


@dataclass(frozen=True, slots=True)
class RankOnGpu:
    """The largest rank of a pipeline stage, the engine that runs it, and the GPU it gets."""

    model: ModelSpec
    layout: Layout
    stage: StageRange
    engine: EngineProfile
    request: PlanRequest
    limits: EngineLimits
    total_bytes: int
    """As NVML reports it."""
    free_bytes: int
    gpu: GpuSpec | None = None
    """None: a GPU of which only the memory is known."""

    @property
    def dtype_bytes(self) -> int:
        """Bytes of an activation element."""
        return compute_dtype_bytes(self.model, self.request)

    @property
    def generation(self) -> int | None:
        """The major compute capability, by which engines choose kernels."""
        return self.gpu.compute_capability[0] if self.gpu else None

    @property
    def switched(self) -> bool:
        """True where the GPUs of a node are joined by an NVLink switch, or may be."""
        return self.gpu is None or self.gpu.nvlink_topology == "nvswitch"

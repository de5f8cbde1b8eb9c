"""What is fixed while a machine is up, read once: limits, versions, and how its GPUs reach each other."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cluster.frozen import FrozenModel
from cluster.text import CleanStr

Count = Annotated[int, Field(ge=0, le=10**9, strict=True)]
Figure = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False, strict=True)]


class GpuFacts(FrozenModel):
    """A GPU's fixed figures. A field is None where the driver gives none; `absent` says why."""

    max_sm_clock_mhz: Figure | None = None
    max_memory_clock_mhz: Figure | None = None
    slowdown_temperature_c: Figure | None = None
    shutdown_temperature_c: Figure | None = None
    max_memory_temperature_c: Figure | None = None
    default_power_limit_w: Figure | None = None
    max_power_limit_w: Figure | None = None
    max_pcie_generation: Count | None = None
    max_pcie_width: Count | None = None
    num_nvlinks: Count | None = None
    """NVLinks that the GPU has, up or down."""
    mig_profile: CleanStr | None = None
    """Of a MIG slice: '3g.40gb'."""
    absent: Annotated[dict[CleanStr, CleanStr], Field(max_length=100)] = {}


class NodeFacts(FrozenModel):
    """A node's fixed figures."""

    driver_version: CleanStr | None = None
    cuda_version: CleanStr | None = None
    """The newest CUDA that the driver supports: '12.4'."""
    paths: Annotated[tuple[tuple[CleanStr, ...], ...], Field(max_length=300)] = ()
    """How devices reach each other, as `nvidia-smi topo -m` names it: 'X', 'NV18', 'PIX', 'PXB', 'PHB',
    'NODE' or 'SYS'. A row per device of `devices`, a column per device."""
    devices: Annotated[tuple[CleanStr, ...], Field(max_length=300)] = ()
    """The GPUs in order of their index, 'GPU0', then network devices by name, 'mlx5_0'."""
    numa_nodes: Annotated[tuple[int | None, ...], Field(max_length=300)] = ()
    """Of each of `devices`."""
    absent: Annotated[dict[CleanStr, CleanStr], Field(max_length=100)] = {}

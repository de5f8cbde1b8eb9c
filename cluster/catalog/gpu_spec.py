"""What the planner needs to know about a GPU type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cluster.inventory import MeasuredRate

NvlinkTopology = Literal["nvswitch", "mesh", "bridge", "none"]

DRIVER_RESERVED_BYTES = 500_000_000
"""What the driver keeps of a GPU, under any program: NVML's total less what CUDA reports.

An H100 has 81559 MiB against 79.18 GiB, an L40S 46068 MiB against 44.42 GiB, an RTX 3090 24576 MiB against
23.58 GiB.
"""


@dataclass(frozen=True, slots=True)
class GpuSpec:
    """One GPU type. Rates are dense datasheet rates; achieved fractions live with the cost model."""

    type: str
    """Canonical name as the command line writes it: 'A100-80GB'."""
    product_names: tuple[str, ...]
    """What NVML calls it ('NVIDIA A100-SXM4-80GB'), and other spellings that are accepted."""
    memory_bytes: int
    """Total as NVML reports it."""
    memory_bandwidth_bytes_per_s: float
    flops_per_s: dict[str, float] = field(hash=False)
    """Dense rate by dtype: 'fp32', 'fp16', 'bf16', 'int8', 'fp8', 'fp4'. A missing key is not supported."""
    compute_capability: tuple[int, int]
    pcie_bytes_per_s: float
    """Per direction, of the slot."""
    nvlink_bytes_per_s: float
    """All links of one GPU together, per direction; 0.0 without NVLink."""
    nvlink_topology: NvlinkTopology
    nvlink_domain_gpus: int
    """GPUs that reach each other over NVLink in the usual machine (8 for HGX, 72 for NVL72, 1 without)."""
    sources: tuple[str, ...]
    vendor: str = "nvidia"
    power_limit_w: float | None = None
    form: str = ""
    """'SXM', 'PCIe', 'workstation', 'consumer' ..."""
    measured: MeasuredRate | None = field(default=None, hash=False)
    """What GPUs of this type achieve on the user's cluster; None: what is usually achieved is assumed."""

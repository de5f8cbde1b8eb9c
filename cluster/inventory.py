"""What exists: nodes, GPUs, and the links between them, at one moment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cluster.frozen import FrozenModel
from cluster.text import CleanStr

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]

ClusterSource = Literal["nvml", "ray", "simulated", "file", "spec", "none"]


class GpuProcess(FrozenModel):
    """A process that holds memory on a GPU. `pid` is the host's, as NVML reports it."""

    pid: int
    name: CleanStr | None = None
    memory_bytes: int | None = None


class Gpu(FrozenModel):
    """One GPU (or MIG slice) as it is now. Absent readings are None, never 0."""

    index: int
    uuid: CleanStr
    type: CleanStr
    """Catalogue type such as 'A100-80GB' where recognised, else the vendor's product name."""
    memory_total_bytes: int | None
    memory_free_bytes: int | None = None
    """What NVML says is free now; other tenants' bytes are not ours to plan on."""
    compute_capability: tuple[int, int] | None = None
    nvlink_island: CleanStr | None = None
    """GPUs of a node with equal islands reach each other over NVLink; None: over PCIe only."""
    pci_bus_id: CleanStr | None = None
    numa_node: int | None = None
    mig_parent_uuid: CleanStr | None = None
    claimed_by: CleanStr | None = None
    """Name of the deployment that holds this GPU, ours or another Ray job's."""
    unhealthy_reason: CleanStr | None = None
    processes: tuple[GpuProcess, ...] = ()

    @property
    def healthy(self) -> bool:
        return self.unhealthy_reason is None


class Node(FrozenModel):
    """One machine. `node_id` is unique (Ray's NodeID on Ray); names and addresses may repeat."""

    node_id: CleanStr
    name: CleanStr
    gpus: tuple[Gpu, ...] = ()
    address: CleanStr | None = None
    nvlink_domain: CleanStr | None = None
    """NVLink domain that spans nodes (cluster uuid + clique), None where NVLink ends at the node."""
    network_bytes_per_s: float | None = None
    """Rate of the node's fastest network link per direction where known."""
    error: CleanStr | None = None
    """Why the node's GPUs could not be read."""


class MeasuredLink(FrozenModel):
    """An all-reduce measured on this cluster: alpha-beta model of one kind of link."""

    scope: Literal["node", "cross_node"]
    num_ranks: int
    latency_s: float
    bandwidth_bytes_per_s: float


class MeasuredRate(FrozenModel):
    """What one type of GPU achieved on this cluster: large matrix products, and reading memory in order."""

    gpu_type: CleanStr
    memory_bytes_per_s: Rate | None = None
    flops_per_s: dict[str, Rate] = Field(default_factory=dict)
    """By dtype: 'bf16', 'fp16', 'fp8' ..."""


class Cluster(FrozenModel):
    """Everything the planner may use, frozen at one moment."""

    source: ClusterSource
    nodes: tuple[Node, ...] = ()
    simulated: bool = False
    taken_at_s: float | None = None
    """Unix time of the readings; None for a spec."""
    measured_links: tuple[MeasuredLink, ...] = ()
    measured_rates: tuple[MeasuredRate, ...] = ()

    @property
    def num_gpus(self) -> int:
        return sum(len(node.gpus) for node in self.nodes)

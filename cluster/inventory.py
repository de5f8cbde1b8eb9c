"""The hardware of a cluster at one moment: nodes, GPUs and the links between them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Annotated, Literal, Self

from pydantic import FailFast, Field, model_validator

from cluster.frozen import FrozenModel
from cluster.gpu_facts import GpuFacts, NodeFacts
from cluster.gpu_health import Health
from cluster.text import CleanStr

MOST_GPUS = 200_000
"""GPUs of one cluster, in a spec or a file."""
MOST_GPUS_IN_A_NODE = 256
"""More than any machine has, including MIG slices and racks that appear as one machine."""
MOST_MEMORY_BYTES = 2**44
"""16 TiB: no GPU's memory comes near, unified memory included."""
MOST_COMPUTE_CAPABILITY = 1000

# A figure outside these bounds is a mistake, and would only cause an overflow later.
Bytes = Annotated[int, Field(ge=0, le=MOST_MEMORY_BYTES, strict=True)]
Rate = Annotated[float, Field(ge=1e5, le=1e16, allow_inf_nan=False, strict=True)]
"""Bytes per second: 100 KB/s is slower than any link, 10 PB/s faster than any memory."""
Flops = Annotated[float, Field(ge=1e6, le=1e20, allow_inf_nan=False, strict=True)]
Latency = Annotated[float, Field(ge=1e-9, le=60, allow_inf_nan=False, strict=True)]
UnixTime = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False, strict=True)]
CapabilityPart = Annotated[int, Field(ge=0, le=MOST_COMPUTE_CAPABILITY, strict=True)]

ClusterSource = Literal["nvml", "ray", "simulated", "file", "spec", "none"]


class GpuProcess(FrozenModel):
    """A process that holds memory on a GPU. `pid` is the host's, as NVML reports it."""

    pid: Annotated[int, Field(gt=0, lt=2**31, strict=True)]
    name: CleanStr | None = None
    memory_bytes: Bytes | None = None
    user: CleanStr | None = None
    command: CleanStr | None = None
    """The whole command line, at most 256 characters."""
    sm_percent: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    """Share of time in which it ran on the GPU, over the last second or so."""
    other_namespace: bool = False
    """It belongs to another PID namespace, a container for example: this machine cannot name it."""


class Gpu(FrozenModel):
    """One GPU (or MIG slice) as it is now. Absent readings are None, never 0."""

    index: Annotated[int, Field(ge=0, le=10**7, strict=True)]
    uuid: Annotated[CleanStr, Field(min_length=1)]
    type: Annotated[CleanStr, Field(min_length=1)]
    """Catalog type such as 'A100-80GB' if recognized, else the vendor's product name."""
    memory_total_bytes: Bytes | None
    memory_free_bytes: Bytes | None = None
    """Free now according to NVML: a plan does not count on memory that other processes hold."""
    compute_capability: tuple[CapabilityPart, CapabilityPart] | None = None
    nvlink_island: CleanStr | None = None
    """GPUs of a node with equal islands reach each other over NVLink; None: over PCIe only."""
    pci_bus_id: CleanStr | None = None
    numa_node: Annotated[int, Field(ge=0, le=2**20, strict=True)] | None = None
    mig_parent_uuid: CleanStr | None = None
    claimed_by: CleanStr | None = None
    """Name of the deployment that holds this GPU, ours or another Ray job's."""
    unhealthy_reason: CleanStr | None = None
    health: Health | None = None
    """The verdict with its evidence; None: nobody has judged it."""
    excluded_reason: CleanStr | None = None
    """Why it is not planned on although nothing is wrong with it: hidden by CUDA_VISIBLE_DEVICES, say."""
    vendor: Literal["nvidia", "amd"] = "nvidia"
    unified_memory: bool = False
    """Its memory is the machine's: total and free are those of the machine."""
    facts: GpuFacts | None = None
    processes: Annotated[tuple[GpuProcess, ...], FailFast(), Field(max_length=10_000)] = ()

    @model_validator(mode="after")
    def _free_within_total(self) -> Self:
        total, free = self.memory_total_bytes, self.memory_free_bytes
        if total is not None and free is not None and free > total:
            raise ValueError(f"memory_free_bytes {free} is more than memory_total_bytes {total}")
        return self

    @model_validator(mode="after")
    def _unhealthy_has_a_reason(self) -> Self:
        if self.health is not None and self.health.state == "unhealthy" and self.unhealthy_reason is None:
            raise ValueError("health is 'unhealthy', but unhealthy_reason is null")
        return self

    @property
    def healthy(self) -> bool:
        """False: it cannot be used at all."""
        return self.unhealthy_reason is None

    @property
    def usable(self) -> bool:
        """Whether it may be planned on."""
        return self.unhealthy_reason is None and self.excluded_reason is None


class NodeLeft(FrozenModel):
    """A node that died or left; it stays in the inventory for a while."""

    at_s: UnixTime
    reason: CleanStr
    held: Annotated[tuple[CleanStr, ...], Field(max_length=1000)] = ()
    """What of ours ran there: 'llama-70b R0 rank 0'."""


class Node(FrozenModel):
    """One machine. `node_id` is unique (Ray's NodeID on Ray); names and addresses may repeat."""

    node_id: Annotated[CleanStr, Field(min_length=1)]
    name: CleanStr
    gpus: Annotated[tuple[Gpu, ...], FailFast(), Field(max_length=MOST_GPUS_IN_A_NODE)] = ()
    address: CleanStr | None = None
    nvlink_domain: CleanStr | None = None
    """NVLink domain that spans nodes (cluster uuid + clique), None where NVLink ends at the node."""
    network_bytes_per_s: Rate | None = None
    """Rate of the node's fastest network link per direction where known."""
    error: CleanStr | None = None
    """Why the node's GPUs could not be read."""
    left: NodeLeft | None = None
    """Set when the node is dead; its GPUs are then unhealthy."""
    ray_gpus: Annotated[int, Field(ge=0, le=10_000, strict=True)] | None = None
    """GPUs that Ray counts on the node; None: it is not a node of Ray."""
    facts: NodeFacts | None = None
    engines: Annotated[dict[CleanStr, CleanStr], Field(max_length=100)] | None = None
    """Engines that can be started on the node, by name, with their version; None: nobody has looked yet."""
    engines_error: CleanStr | None = None
    """Why some of its engines could not be looked up: an interpreter that is missing or does not answer."""

    @model_validator(mode="after")
    def _gpus_differ(self) -> Self:
        for field in ("index", "uuid"):
            twice = repeated(getattr(gpu, field) for gpu in self.gpus)
            if twice is not None:
                raise ValueError(f"two GPUs have the same {field} {twice}")
        return self


class MeasuredLink(FrozenModel):
    """An all-reduce measured on this cluster: seconds = latency + 2 (n - 1) / n x bytes / bandwidth."""

    scope: Literal["node", "cross_node"]
    num_ranks: Annotated[int, Field(ge=2, le=MOST_GPUS, strict=True)]
    latency_s: Latency
    bandwidth_bytes_per_s: Rate
    """What nccl-tests call bus bandwidth."""
    kind: Literal["nvlink", "nvlink_domain", "pcie", "network"] | None = None
    """The link it went over; None: whichever the groups of this scope use."""
    gpu_type: CleanStr | None = None
    """None: it holds for every type."""
    library: Literal["nccl", "gloo"] | None = None
    """What it was measured with. NCCL's rings leave an engine's own kernels for small messages as they are;
    None: it stands for those too."""


class MeasuredRate(FrozenModel):
    """Rates measured on this cluster for one GPU type: of large matrix products, and of streaming weights
    from memory into a product of few rows."""

    gpu_type: CleanStr
    memory_bytes_per_s: Rate | None = None
    flops_per_s: dict[CleanStr, Flops] = Field(default_factory=dict, max_length=100)
    """By dtype: 'bf16', 'fp16', 'fp8' ..."""


class Cluster(FrozenModel):
    """Everything the planner may use, frozen at one moment."""

    source: ClusterSource
    nodes: Annotated[tuple[Node, ...], FailFast(), Field(max_length=MOST_GPUS)] = ()
    simulated: Annotated[bool, Field(strict=True)] = False
    taken_at_s: UnixTime | None = None
    """Unix time of the readings; None for a spec."""
    measured_links: Annotated[tuple[MeasuredLink, ...], FailFast(), Field(max_length=10_000)] = ()
    measured_rates: Annotated[tuple[MeasuredRate, ...], FailFast(), Field(max_length=10_000)] = ()
    measured_at_s: UnixTime | None = None
    """Unix time of the oldest of these measurements; None: nobody said."""

    @model_validator(mode="after")
    def _nodes_differ(self) -> Self:
        twice = repeated(node.node_id for node in self.nodes)
        if twice is not None:
            raise ValueError(f"two nodes have the same node_id {twice}")
        if self.num_gpus > MOST_GPUS:
            raise ValueError(f"{self.num_gpus:,} GPUs; the limit is {MOST_GPUS:,}")
        return self

    @property
    def num_gpus(self) -> int:
        return sum(len(node.gpus) for node in self.nodes)

    def without_measurements(self) -> Cluster:
        """Return the cluster as if nothing had been measured on it."""
        return self.model_copy(update={"measured_links": (), "measured_rates": (), "measured_at_s": None})


def repeated(values: Iterable[Hashable]) -> Hashable | None:
    """Return the first value that occurs twice; None if all differ."""
    seen: set[Hashable] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None

"""What the survey finds: machine shapes, and the GPU groups in each where tensor parallelism may run.

Equal machines share one shape, so the cost of a search depends on distinct shapes, not on machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cluster.catalog.gpu_spec import GpuSpec
from cluster.planner.placement.condition import SOUND, Condition
from cluster.planner.rule import Rule

Link = Literal["nvlink", "pcie", "network", "none"]
"""The link between the GPUs of one tensor-parallel group; 'none' for a MIG slice, which cannot join one."""

Joins = Literal["", "islands", "nodes"]
"""What a group spans only because the user pinned such a TP: '', 'islands' or 'nodes'."""


@dataclass(frozen=True, slots=True)
class GpuSlot:
    """The position of a GPU in a shape: which node of the machine, and which of the node's GPUs."""

    node_offset: int
    gpu_position: int
    free_bytes: int
    condition: Condition = SOUND
    avoid: float = 0.0
    """How much to avoid it among GPUs with as much memory (`avoidance`)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of a shape, and the actual GPU of each slot of the shape."""

    nodes: tuple[int, ...]
    """Positions in Cluster.nodes."""
    orders: tuple[tuple[int, ...], ...]
    """For each node, the entry of Node.gpus that stands at each of the shape's positions."""

    def node_of(self, slot: GpuSlot) -> int:
        """Return the position in Cluster.nodes of the node that a slot lies in."""
        return self.nodes[slot.node_offset]

    def gpu_of(self, slot: GpuSlot) -> int:
        """Return the entry of Node.gpus that a slot stands for."""
        return self.orders[slot.node_offset][slot.gpu_position]


@dataclass(frozen=True, slots=True)
class GpuPool:
    """GPUs with the same type, memory and links, which can run parts of one replica."""

    spec: GpuSpec
    total_bytes: int
    link: Link
    network_bytes_per_s: float | None = None
    joins: Joins = ""
    memory_speedup: float = 1.0
    """Of the memory bandwidth measured on the user's GPUs over what their type usually achieves."""

    @property
    def memory_bytes_per_s(self) -> float:
        """The rate by which GPU types are compared."""
        return self.spec.memory_bandwidth_bytes_per_s * self.memory_speedup


@dataclass(frozen=True, slots=True)
class TpDomain:
    """GPUs of one machine that may form tensor-parallel groups, in the order in which they are taken."""

    pool: GpuPool
    slots: tuple[GpuSlot, ...]
    gpus_per_node: int
    """GPUs of this domain in one node; fewer than the domain has only where NVLink spans nodes."""
    parts: tuple[TpDomain, ...] = ()
    """Of a joined domain: the islands or nodes that it is joined from."""


@dataclass(frozen=True, slots=True)
class MachineShape:
    """Machines that look alike: a node each, or the nodes of one NVLink domain."""

    domains: tuple[TpDomain, ...]
    machines: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A GPU that no layout may use, and why."""

    node_name: str
    gpu_index: int
    rule: Rule
    """GPU_BUSY, GPU_UNHEALTHY, GPU_EXCLUDED or GPU_UNKNOWN."""
    reason: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The usable part of a cluster."""

    shapes: tuple[MachineShape, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()
    num_degraded: int = 0
    """Usable GPUs that are degraded."""

    @property
    def num_usable_gpus(self) -> int:
        return sum(
            len(domain.slots) * len(shape.machines) for shape in self.shapes for domain in shape.domains
        )

    @property
    def num_nodes(self) -> int:
        """Nodes with GPUs that can be used."""
        return len({node for shape in self.shapes for machine in shape.machines for node in machine.nodes})

    @property
    def largest_domain(self) -> int:
        """GPUs in the largest group that tensor parallelism may use; 0 when there are no GPUs."""
        return max((len(domain.slots) for shape in self.shapes for domain in shape.domains), default=0)

    @property
    def pools(self) -> tuple[GpuPool, ...]:
        """The distinct pools, in the order of the cluster."""
        found = {id(domain.pool): domain.pool for shape in self.shapes for domain in shape.domains}
        return tuple(found.values())

"""The fixed figures of a simulated GPU: from its catalog entry, and where that has none, usual ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from cluster.gpu_facts import GpuFacts, NodeFacts

MAX_SM_CLOCK_MHZ = 1980.0
MAX_MEMORY_CLOCK_MHZ = 2619.0
IDLE_SM_CLOCK_MHZ = 345.0
PCIE_WIDTH = 16

_SLOWDOWN_C, _SHUTDOWN_C, _MAX_MEMORY_C = 90.0, 95.0, 97.0
_NVLINK_BYTES_PER_S = 25e9
_MOST_NVLINKS = 18
# Bytes/s of sixteen lanes per direction; catalog entries round them.
_BYTES_BY_GENERATION = {3: 15.75e9, 4: 31.5e9, 5: 63e9, 6: 121e9}


class GpuLike(Protocol):
    """The part of a catalog entry that a simulation needs."""

    @property
    def type(self) -> str: ...
    @property
    def vendor(self) -> str: ...
    @property
    def memory_bytes(self) -> int: ...
    @property
    def compute_capability(self) -> tuple[int, int]: ...
    @property
    def pcie_bytes_per_s(self) -> float: ...
    @property
    def nvlink_bytes_per_s(self) -> float: ...
    @property
    def nvlink_topology(self) -> Literal["nvswitch", "mesh", "bridge", "none"]: ...
    @property
    def nvlink_domain_gpus(self) -> int: ...
    @property
    def power_limit_w(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Board:
    """What a simulated GPU's links are like, and its facts."""

    num_links: int
    link_bytes_per_s: float | None
    pcie_generation: int
    facts: GpuFacts


def board_of(gpu: GpuLike, *, joined: bool) -> Board:
    """Return the board of a GPU type; `joined`: it has NVLink to other GPUs."""
    num_links, rate = _links(gpu) if joined else (0, None)
    generation = min(_BYTES_BY_GENERATION, key=lambda g: abs(_BYTES_BY_GENERATION[g] - gpu.pcie_bytes_per_s))
    limit_w = gpu.power_limit_w
    absent = {"mig_profile": "not a MIG slice"}
    if limit_w is None:
        absent |= dict.fromkeys(("default_power_limit_w", "max_power_limit_w"), "not in the GPU catalog")
    facts = GpuFacts(
        max_sm_clock_mhz=MAX_SM_CLOCK_MHZ,
        max_memory_clock_mhz=MAX_MEMORY_CLOCK_MHZ,
        slowdown_temperature_c=_SLOWDOWN_C,
        shutdown_temperature_c=_SHUTDOWN_C,
        max_memory_temperature_c=_MAX_MEMORY_C,
        default_power_limit_w=None if limit_w is None else float(limit_w),
        max_power_limit_w=None if limit_w is None else float(limit_w),
        max_pcie_generation=generation,
        max_pcie_width=PCIE_WIDTH,
        num_nvlinks=num_links,
        absent=absent,
    )
    return Board(num_links, rate, generation, facts)


def _links(gpu: GpuLike) -> tuple[int, float | None]:
    """Return how many links carry the GPU's rate, and the rate of each."""
    if gpu.nvlink_bytes_per_s <= 0:
        return 0, None
    if gpu.vendor == "amd":  # a link to each other GPU
        number = max(1, gpu.nvlink_domain_gpus - 1)
    else:
        number = min(_MOST_NVLINKS, max(1, round(gpu.nvlink_bytes_per_s / _NVLINK_BYTES_PER_S)))
    return number, gpu.nvlink_bytes_per_s / number


def node_facts(gpu: GpuLike, islands: Sequence[str | None]) -> NodeFacts:
    """Return the facts of a machine with two sockets, half of the GPUs on each; `islands` is one per GPU."""
    count = len(islands)
    numa = [2 * index // count for index in range(count)]
    joined = _joined_path(gpu)

    def path(a: int, b: int) -> str:
        if a == b:
            return "X"
        if islands[a] is not None and islands[a] == islands[b]:
            return joined
        return "NODE" if numa[a] == numa[b] else "SYS"

    return NodeFacts(
        devices=tuple(f"GPU{index}" for index in range(count)),
        paths=tuple(tuple(path(a, b) for b in range(count)) for a in range(count)),
        numa_nodes=tuple(numa),
        absent=dict.fromkeys(("driver_version", "cuda_version"), "not simulated"),
    )


def _joined_path(gpu: GpuLike) -> str:
    """Return what `nvidia-smi topo -m` shows between two joined GPUs: 'NV18', or 'XGMI'."""
    if gpu.vendor == "amd":
        return "XGMI"
    num_links, _ = _links(gpu)
    peers = max(1, gpu.nvlink_domain_gpus - 1) if gpu.nvlink_topology == "mesh" else 1
    return f"NV{max(1, num_links // peers)}"

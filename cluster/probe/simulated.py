"""GPUs that do not exist: readings that follow the deployments on them, and are marked as simulated.

Deterministic: the same seed, loads and times give the same readings. Values move smoothly towards what the
load asks for, as a sensor's would; nothing here is measured, and every reading carries `simulated=True`.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence

from cluster.detail import NodeDetail
from cluster.inventory import Gpu, Node
from cluster.probe.simulated_board import GpuLike, board_of, node_facts
from cluster.probe.simulated_gpu import Condition, Load, SimulatedGpu, within_bounds
from cluster.telemetry import HostReading, NodeReading

__all__ = ["Condition", "GpuLike", "Load", "SimulatedGpus"]

_FIRST_PID = 4_000_000
_DETAIL_INTERVAL_S = 5.0
_CPUS_PER_GPU = 12
_NOT_SIMULATED = "not simulated"


class SimulatedGpus:
    """The GPUs of one simulated node: `node()` says what exists, `reading()` what they do now."""

    def __init__(
        self,
        gpu: GpuLike,
        count: int,
        node_id: str,
        seed: int = 0,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._gpu, self._node_id, self._clock = gpu, node_id, clock
        self._gpus = [self._make(index, count, seed) for index in range(count)]
        self._facts = node_facts(gpu, [_island(gpu, index, count) for index in range(count)])
        self._detail: NodeDetail | None = None

    def _make(self, index: int, count: int, seed: int) -> SimulatedGpu:
        board = board_of(self._gpu, joined=_island(self._gpu, index, count) is not None)
        rng = random.Random(f"{seed}/{index}")
        digest = hashlib.sha256(f"{self._node_id}/{index}".encode()).hexdigest()
        uuid = f"SIM-{digest[:8]}-{index}"
        return SimulatedGpu(self._gpu, board, uuid, _FIRST_PID + 100 * index, rng)

    @property
    def num_gpus(self) -> int:
        return len(self._gpus)

    def set_load(
        self,
        gpu_index: int,
        planned_bytes: int,
        loading_fraction: float,
        busy_fraction: float,
        process_name: str | None,
    ) -> None:
        """Set the load of a GPU: `loading_fraction` of `planned_bytes` is held, and it is busy that much.

        All zero and None frees the GPU. Fractions outside 0 to 1 are taken as the nearest end.
        """
        load = Load(planned_bytes, loading_fraction, busy_fraction, process_name)
        self._gpus[gpu_index].deployed = within_bounds(load)

    def set_scene(self, gpu_index: int, others: Sequence[Load], condition: Condition) -> None:
        """Set what runs on a GPU beside a deployment, and what is wrong with it."""
        gpu = self._gpus[gpu_index]
        others = tuple(within_bounds(load) for load in others)
        if (gpu.others, gpu.condition) != (others, condition):
            gpu.others, gpu.condition = others, condition
            self._detail = None

    def settle(self) -> None:
        """Let every figure be as if the loads and conditions had been there for long."""
        for gpu in self._gpus:
            gpu.settle()

    def node(self, name: str, *, address: str | None = None, nvlink_domain: str | None = None) -> Node:
        """Describe the node with what is free at this moment."""
        gpus = tuple(self._describe(index, gpu) for index, gpu in enumerate(self._gpus))
        return Node(
            node_id=self._node_id,
            name=name,
            gpus=gpus,
            address=address,
            nvlink_domain=nvlink_domain,
            facts=self._facts,
        )

    def reading(self, now_s: float | None = None) -> NodeReading:
        """Read all GPUs at `now_s`, by default now; times must not go back."""
        at_s = self._clock() if now_s is None else now_s
        gpus = tuple(gpu.read(at_s) for gpu in self._gpus)
        busy = sum(gpu.utilization_percent or 0.0 for gpu in gpus)
        return NodeReading(
            node_id=self._node_id, taken_at_s=at_s, gpus=gpus, host=self._host(busy), simulated=True
        )

    def detail(self, now_s: float | None = None) -> NodeDetail:
        """Read the slow figures; within five seconds the same ones, unless something happened."""
        at_s = self._clock() if now_s is None else now_s
        if self._detail is None or at_s - self._detail.taken_at_s >= _DETAIL_INTERVAL_S:
            gpus = tuple(gpu.detail() for gpu in self._gpus)
            absent = {"ports": _NOT_SIMULATED}
            self._detail = NodeDetail(node_id=self._node_id, taken_at_s=at_s, gpus=gpus, absent=absent)
        return self._detail

    def _host(self, busy_percents: float) -> HostReading:
        cpus = _CPUS_PER_GPU * max(1, len(self._gpus))
        total = 2 * self._gpu.memory_bytes * max(1, len(self._gpus))
        used = total // 20 + sum(load.held_bytes for gpu in self._gpus for load in gpu.loads) // 8
        shown = {"cpu_percent", "num_cpus", "memory_total_bytes", "memory_available_bytes", "absent"}
        return HostReading(
            cpu_percent=round(min(100.0, 1.0 + busy_percents / cpus), 1),
            num_cpus=cpus,
            memory_total_bytes=total,
            memory_available_bytes=max(0, total - used),
            absent={name: _NOT_SIMULATED for name in HostReading.model_fields if name not in shown},
        )

    def _describe(self, index: int, gpu: SimulatedGpu) -> Gpu:
        lost = gpu.condition.lost
        return Gpu(
            index=index,
            uuid=gpu.uuid,
            type=self._gpu.type,
            vendor="amd" if self._gpu.vendor == "amd" else "nvidia",
            memory_total_bytes=self._gpu.memory_bytes,
            memory_free_bytes=None if lost else self._gpu.memory_bytes - gpu.used_bytes,
            compute_capability=self._gpu.compute_capability,
            nvlink_island=_island(self._gpu, index, len(self._gpus)),
            numa_node=self._facts.numa_nodes[index],
            unhealthy_reason=lost,
            facts=gpu.board.facts,
            processes=() if lost else gpu.processes(),
        )


def _island(gpu: GpuLike, index: int, count: int) -> str | None:
    size = gpu.nvlink_domain_gpus
    if gpu.nvlink_topology == "none" or size < 2 or count < 2:
        return None
    first = index - index % size
    alone = count - first == 1
    return None if alone else f"nvlink-{index // size}"

"""The actor that reads one node's GPUs: NVML on a real node, a simulation on a simulated one."""

from __future__ import annotations

import time
from typing import Any

from cluster.bridge.driver.claimed_nodes import claimed, unclaimed
from cluster.bridge.driver.node_environment import node_environment
from cluster.bridge.driver.node_look import LookMemory, NodeLook, Stamps
from cluster.bridge.engine_lookup import EngineLookup
from cluster.bridge.keeper.embedded import DOMAIN_LABEL, GPU_COUNT_LABEL, GPU_TYPE_LABEL, NAME_LABEL
from cluster.detail import NodeDetail
from cluster.health.watch import HealthWatch
from cluster.inventory import Node
from cluster.probe.simulated import SimulatedGpus
from cluster.telemetry import NodeReading

GpuLoad = tuple[int, int, float, float, str | None]
"""(gpu_index, planned_bytes, loading_fraction, busy_fraction, process_name) of a simulated GPU."""


def is_simulated(labels: dict[str, str]) -> bool:
    """True for the raylet of a simulated node."""
    return GPU_TYPE_LABEL in labels


def simulated_gpus(node_id: str, labels: dict[str, str]) -> SimulatedGpus:
    """Return the simulation that a raylet's labels ask for."""
    from cluster.catalog.gpus import find_gpu

    return SimulatedGpus(find_gpu(labels[GPU_TYPE_LABEL]), int(labels[GPU_COUNT_LABEL]), node_id)


def simulated_node(node_id: str, labels: dict[str, str]) -> Node:
    """Describe a simulated node from its labels alone, before its probe has started."""
    name, domain = labels.get(NAME_LABEL, node_id[:8]), labels.get(DOMAIN_LABEL)
    return simulated_gpus(node_id, labels).node(name, nvlink_domain=domain)


class NodeProbe:
    """Reads one node. On a real one NVML runs in a process of its own, with a deadline."""

    def __init__(
        self, node_id: str, name: str, labels: dict[str, str], engine_pythons: dict[str, str]
    ) -> None:
        self._name, self._domain = name, labels.get(DOMAIN_LABEL)
        self._simulation: SimulatedGpus | None = None
        self._probe: Any = None
        self._loaded: set[int] = set()
        self._memory = LookMemory()
        self._health = HealthWatch()
        if is_simulated(labels):
            self._simulation = simulated_gpus(node_id, labels)
        else:
            from cluster.probe.watch import ProbeProcess

            self._engines = EngineLookup(engine_pythons)
            self._engines.start()
            self._probe = ProbeProcess(node_id, name, env=node_environment())
            self._probe.start()
            self._probe.wait_first(10.0)

    def look(self, loads: list[GpuLoad], claims: dict[str, str], known: Stamps) -> NodeLook:
        """Return what the node does now, and what else changed since the answer with the stamps `known`.

        `loads` is what simulated GPUs should show. The GPUs' health is judged here, by each node for itself;
        `claims` (GPU uuid -> deployment) say whose work is on a GPU that is busy.
        """
        node, reading, detail = self._seen(loads)
        judged = self._health.judge(claimed(node, claims), reading, detail, time.monotonic())
        return self._memory.look(unclaimed(judged), reading, detail, known)

    def _seen(self, loads: list[GpuLoad]) -> tuple[Node, NodeReading, NodeDetail | None]:
        if self._simulation is None:
            node, reading, detail = self._probe.latest()
            return self._engines.added_to(node), reading, detail
        self._put(loads)
        node = self._simulation.node(self._name, nvlink_domain=self._domain)
        return node, self._simulation.reading(), self._simulation.detail()

    def _put(self, loads: list[GpuLoad]) -> None:
        assert self._simulation is not None
        for index in self._loaded - {load[0] for load in loads}:
            self._simulation.set_load(index, 0, 0.0, 0.0, None)
        for load in loads:
            self._simulation.set_load(*load)
        self._loaded = {load[0] for load in loads}

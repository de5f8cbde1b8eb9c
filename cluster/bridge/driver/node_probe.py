"""The actor that reads one node: the machine on a real node, a simulation on a simulated one."""

from __future__ import annotations

import time
from typing import Any

from cluster.bridge.driver.claimed_nodes import claimed, unclaimed
from cluster.bridge.driver.node_environment import node_environment
from cluster.bridge.driver.node_look import LookMemory, NodeLook, Stamps
from cluster.bridge.driver.simulated_node import GpuLoad, SimulatedNode, is_simulated
from cluster.bridge.engine_lookup import EngineLookup
from cluster.detail import NodeDetail
from cluster.health.watch import HealthWatch
from cluster.inventory import Node
from cluster.scenes.play import Playing
from cluster.telemetry import NodeReading


class NodeProbe:
    """Reads one node. On a real one the drivers are asked in a process of its own, with a deadline."""

    def __init__(
        self,
        node_id: str,
        name: str,
        labels: dict[str, str],
        engine_pythons: dict[str, str],
        playing: Playing | None = None,
    ) -> None:
        self._simulation: SimulatedNode | None = None
        self._probe: Any = None
        self._memory = LookMemory()
        self._health = HealthWatch()
        if is_simulated(labels):
            self._simulation = SimulatedNode(node_id, labels, playing)
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
        self._simulation.put(loads)
        return self._simulation.look()

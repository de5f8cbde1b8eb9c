"""A cluster that lives through some minutes, as events, and recordings of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cluster.bridge.events import ClusterSeen, DeploymentsSeen, DetailsSeen, Event, ReadingsSeen
from cluster.catalog.gpus import find_gpu
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.detail import GpuDetail, NodeDetail, NvLinkReading
from cluster.inventory import Cluster
from cluster.probe.simulated import SimulatedGpus
from cluster.recording.state import EMPTY, State, with_event
from cluster.recording.writer import RecordingWriter

BEGIN_S = 1_790_000_000.0
PLANNED_BYTES = 40 * 2**30
GPU_TYPE = "A100-80GB"


class Scene:
    """Nodes of simulated GPUs; a deployment starts after `busy_after_s`."""

    def __init__(self, num_nodes: int = 2, gpus_per_node: int = 4, busy_after_s: float = 30.0) -> None:
        self._busy_after_s = busy_after_s
        self._nodes = [
            SimulatedGpus(find_gpu(GPU_TYPE), gpus_per_node, f"node-{number}", number)
            for number in range(num_nodes)
        ]

    def at(self, second: int) -> tuple[Event, ...]:
        """Return the events of one second; the inventory comes with the first one."""
        now_s = BEGIN_S + second
        if second == self._busy_after_s:
            for node in self._nodes:
                node.set_load(0, PLANNED_BYTES, 1.0, 0.9, "llama")
        events: list[Event] = []
        if second == 0:
            nodes = tuple(node.node(f"gpu-{number}") for number, node in enumerate(self._nodes))
            events.append(ClusterSeen(cluster=Cluster(source="simulated", simulated=True, nodes=nodes)))
        events.append(ReadingsSeen(nodes=tuple(node.reading(now_s) for node in self._nodes)))
        if second % 5 == 0:
            events.append(DetailsSeen(nodes=tuple(self._detail(node, now_s, second) for node in self._nodes)))
        events.append(DeploymentsSeen(deployments=self._deployments(second)))
        return tuple(events)

    def _detail(self, node: SimulatedGpus, now_s: float, second: int) -> NodeDetail:
        reading = node.reading(now_s)
        link = NvLinkReading(link=0, active=True, received_bytes=1000 * second, sent_bytes=2000 * second)
        gpus = tuple(
            GpuDetail(uuid=gpu.uuid, pcie_generation=4, pcie_width=16, links=(link,)) for gpu in reading.gpus
        )
        return NodeDetail(node_id=reading.node_id, taken_at_s=now_s, gpus=gpus)

    def _deployments(self, second: int) -> tuple[DeploymentStatus, ...]:
        if second < self._busy_after_s:
            return ()
        state = DeploymentState.READY
        return (
            DeploymentStatus(name="llama", model="llama", label="TP=1", state=state, age_s=float(second)),
        )


def states(seconds: int, scene: Scene | None = None) -> Iterator[tuple[float, State]]:
    """Yield (time, state) for each second."""
    scene, state = scene or Scene(), EMPTY
    for second in range(seconds):
        for event in scene.at(second):
            state = with_event(state, event)
        yield BEGIN_S + second, state


def record(path: Path, seconds: int = 150, scene: Scene | None = None) -> list[tuple[float, State]]:
    """Write a recording; returns what went into it."""
    written = list(states(seconds, scene))
    with RecordingWriter(path, "simulated 2x4xA100-80GB") as writer:
        for at_s, state in written:
            writer.add(at_s, state)
    return written


def wild(value: Any, dice: random.Random, key: str = "") -> Any:
    """Return a part of a state with some numbers and names replaced by what no reading has."""
    if isinstance(value, dict):
        return {name: wild(part, dice, name) for name, part in value.items()}
    if isinstance(value, list):
        return [wild(part, dice) for part in value]
    if isinstance(value, str) and key in ("reason", "error", "type", "model") and dice.random() < 0.3:
        return "\x1b[2J[bold]x[/]" * 5
    if isinstance(value, bool) or key in ("pid", "memory_bytes", "sm_percent") or dice.random() > 0.25:
        return value  # a process's figures have bounds of their own
    if isinstance(value, int):
        return dice.choice([-1, 0, 2**63 - 1, -(2**63), 10**12, 101])
    return dice.choice([-1.0, -0.0, 1.8e19, -1.8e19, 0.5, 1e10]) if isinstance(value, float) else value

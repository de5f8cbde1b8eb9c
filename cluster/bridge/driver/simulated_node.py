"""A simulated node as its probe shows it: GPUs that carry the deployments' loads, and a scene's faults."""

from __future__ import annotations

import time

from cluster.bridge.keeper.embedded import DOMAIN_LABEL, GPU_COUNT_LABEL, GPU_TYPE_LABEL, NAME_LABEL
from cluster.catalog.gpus import find_gpu
from cluster.detail import NodeDetail
from cluster.inventory import Node
from cluster.probe.simulated import SimulatedGpus
from cluster.scenes.play import NodePlay, Playing
from cluster.telemetry import NodeReading

GpuLoad = tuple[int, int, float, float, str | None]
"""(gpu_index, planned_bytes, loading_fraction, busy_fraction, process_name) of a simulated GPU."""


def is_simulated(labels: dict[str, str]) -> bool:
    """True for the raylet of a simulated node."""
    return GPU_TYPE_LABEL in labels


class SimulatedNode:
    """The simulation that a raylet's labels ask for, with what of a scene is on this node."""

    def __init__(self, node_id: str, labels: dict[str, str], playing: Playing | None = None) -> None:
        self._name, self._domain = labels.get(NAME_LABEL, node_id[:8]), labels.get(DOMAIN_LABEL)
        seed = playing.scene.seed if playing is not None else 0
        gpu, count = find_gpu(labels[GPU_TYPE_LABEL]), int(labels[GPU_COUNT_LABEL])
        self._gpus = SimulatedGpus(gpu, count, node_id, seed)
        self._play = None
        if playing is not None and self._name in playing.scene.names:
            self._play = NodePlay(playing.scene, self._name, self._gpus, playing.began_s)
        self._loaded: set[int] = set()

    def put(self, loads: list[GpuLoad]) -> None:
        """Show these loads of deployments, and no others."""
        for index in self._loaded - {load[0] for load in loads}:
            self._gpus.set_load(index, 0, 0.0, 0.0, None)
        for load in loads:
            self._gpus.set_load(*load)
        self._loaded = {load[0] for load in loads}

    def look(self) -> tuple[Node, NodeReading, NodeDetail]:
        """Return the node, its reading and its slow figures at this moment."""
        now_s = time.time()
        if self._play is None:
            node = self._gpus.node(self._name, nvlink_domain=self._domain)
            return node, self._gpus.reading(now_s), self._gpus.detail(now_s)
        self._play.advance(now_s)
        node = self._play.node(now_s, nvlink_domain=self._domain)
        return node, self._play.reading(now_s), self._play.detail(now_s)

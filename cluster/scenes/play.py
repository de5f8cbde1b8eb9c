"""One node of a scene as it is at a time: its simulated GPUs carry the scene's loads and faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from cluster.detail import NodeDetail
from cluster.inventory import Node, NodeLeft
from cluster.probe.simulated import Condition, SimulatedGpus
from cluster.scenes.faults import GpuFault, NodeDown, NodeHung, Timed
from cluster.scenes.scene import Scene, SceneLoad
from cluster.telemetry import NodeReading

_Kind = TypeVar("_Kind", bound=Timed)


@dataclass(frozen=True, slots=True)
class Playing:
    """A scene and the Unix time at which it began."""

    scene: Scene
    began_s: float


class NodePlay:
    """Plays a scene on one node's GPUs. Scene time is Unix time less `began_s`, and must not go back."""

    def __init__(self, scene: Scene, spec_name: str, gpus: SimulatedGpus, began_s: float) -> None:
        own = scene.of_node(spec_name)
        self._loads: tuple[SceneLoad, ...] = own["loads"]
        self._faults: tuple[Timed, ...] = own["faults"]
        self._gpus, self._began_s, self._name = gpus, began_s, scene.names[spec_name]
        self._last: NodeReading | None = None
        self._has_begun = False

    def advance(self, now_s: float) -> None:
        """Give the GPUs what holds at this time."""
        scene_s = now_s - self._began_s
        for index in range(self._gpus.num_gpus):
            loads = [entry.load() for entry in self._loads if _is_on(entry, index) and entry.holds(scene_s)]
            self._gpus.set_scene(index, loads, self._condition(index, scene_s))
        if not self._has_begun:
            # Before this moment there was nothing, so nothing is on its way to its temperature.
            self._gpus.settle()
            self._has_begun = True

    def _condition(self, index: int, scene_s: float) -> Condition:
        condition = Condition()
        for fault in self._faults:
            if isinstance(fault, GpuFault) and _is_on(fault, index) and fault.holds(scene_s):
                condition = fault.applied(condition, self._began_s + fault.at_s)
        return condition

    def node(self, now_s: float, *, nvlink_domain: str | None = None) -> Node:
        """Describe the node; one that is down is a node that left."""
        node = self._gpus.node(self._name, nvlink_domain=nvlink_domain)
        down = self._first(NodeDown, now_s)
        if down is None:
            return node
        gone = {"unhealthy_reason": down.reason, "memory_free_bytes": None, "processes": ()}
        gpus = tuple(gpu.model_copy(update=gone) for gpu in node.gpus)
        left = NodeLeft(at_s=self._began_s + down.at_s, reason=down.reason)
        return node.model_copy(update={"gpus": gpus, "left": left, "error": down.reason})

    def reading(self, now_s: float) -> NodeReading:
        """Read the node; while it is down or hangs, the last reading stays, with its age and the reason."""
        down, hung = self._first(NodeDown, now_s), self._first(NodeHung, now_s)
        if down is None and hung is None:
            self._last = self._gpus.reading(now_s)
            return self._last
        last = self._last or self._gpus.reading(now_s)
        self._last = last
        if down is not None:
            return last.model_copy(update={"state": "lost", "reason": down.reason})
        assert hung is not None
        waited_s = now_s - self._began_s - hung.at_s
        reason = f"{hung.call} on GPU {hung.gpu} has not returned for {waited_s:.0f} s (simulated)"
        return last.model_copy(update={"state": "hung", "reason": reason})

    def detail(self, now_s: float) -> NodeDetail:
        """Read the slow figures."""
        return self._gpus.detail(now_s)

    def _first(self, kind: type[_Kind], now_s: float) -> _Kind | None:
        scene_s = now_s - self._began_s
        return next((one for one in self._faults if isinstance(one, kind) and one.holds(scene_s)), None)


def _is_on(entry: SceneLoad | GpuFault, index: int) -> bool:
    return entry.gpus is None or index in entry.gpus

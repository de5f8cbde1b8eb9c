"""A Ray without processes: nodes that come and go, and probes that answer, fail or stay silent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from cluster.bridge.driver.discovery import Discovery
from cluster.bridge.driver.node_look import LookMemory, NodeLook, Stamps
from cluster.bridge.driver.watched_node import WatchedNode
from cluster.detail import GpuDetail, NodeDetail
from cluster.gpu_facts import GpuFacts
from cluster.health.watch import HealthWatch
from cluster.inventory import Gpu, Node
from cluster.telemetry import GpuReading, NodeReading

GIB = 2**30


class ActorDiedError(Exception):
    """As Ray's."""


class Clock:
    """A time that only moves when it is told to."""

    def __init__(self, now_s: float = 1_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Ref:
    """A question to a probe."""

    probe: Probe
    known: Stamps

    def __hash__(self) -> int:
        return id(self)


class Probe:
    """The probe of one node. It answers with `answer`; None: it stays silent."""

    def __init__(self, node_id: str, num_gpus: int, clock: Clock) -> None:
        self.node_id, self.clock = node_id, clock
        self.node = fake_node(node_id, num_gpus)
        self.detail: NodeDetail | None = None
        self.is_silent = False
        self.failure: Exception | None = None
        self.num_full_answers = 0
        self.memory, self.health = LookMemory(), HealthWatch()
        self.look = SimpleNamespace(remote=lambda loads, claims, known: Ref(self, known))

    def answer(self, known: Stamps) -> NodeLook:
        reading = fake_reading(self.node, self.clock.now_s)
        judged = self.health.judge(self.node, reading, self.detail, self.clock.now_s)
        look = self.memory.look(judged, reading, self.detail, known)
        self.num_full_answers += look.node is not None
        return look


@dataclass
class FakeRay:
    """What Discovery uses of the ray module."""

    clock: Clock
    probes: dict[str, Probe] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(ActorDiedError=ActorDiedError))
    waited_s: float = 0.0

    def nodes(self) -> list[dict[str, Any]]:
        return self.entries

    def add(self, name: str, num_gpus: int = 8, node_id: str | None = None) -> Probe:
        """Let a node join; its id is its name unless given."""
        id_ = node_id or name
        entry = {"NodeID": id_, "NodeName": name, "Alive": True, "Resources": {"GPU": float(num_gpus)}}
        self.entries.append(entry)
        self.probes[id_] = Probe(id_, num_gpus, self.clock)
        return self.probes[id_]

    def kill(self, node_id: str, reason: str = "its raylet was killed") -> None:
        """Let a node die; Ray goes on listing it for a while."""
        for entry in self.entries:
            if entry["NodeID"] == node_id:
                entry |= {"Alive": False, "DeathReasonMessage": reason}

    def wait(self, refs: list[Ref], num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        ready = [ref for ref in refs if not ref.probe.is_silent]
        if len(ready) < num_returns:
            self.waited_s += timeout
            self.clock.now_s += timeout
        return ready, [ref for ref in refs if ref.probe.is_silent]

    def get(self, refs: Any) -> Any:
        if isinstance(refs, list):
            return [self.get(ref) for ref in refs]
        if refs.probe.failure is not None:
            raise refs.probe.failure
        return refs.probe.answer(refs.known)


class FakeDiscovery(Discovery):
    """Discovery whose probes are those of a FakeRay."""

    def __init__(self, ray: FakeRay) -> None:
        super().__init__(ray, {})
        self._fake = ray

    def _start_probe(self, watched: WatchedNode) -> Any:
        return self._fake.probes[watched.node_id]

    def _num_free(self) -> dict[str, int]:
        return {}


def fake_node(node_id: str, num_gpus: int, uuid: Callable[[int], str] | None = None) -> Node:
    name_of = uuid or (lambda index: f"GPU-{node_id}-{index}")
    facts = GpuFacts(max_sm_clock_mhz=1980.0, num_nvlinks=18, default_power_limit_w=700.0)
    gpus = tuple(
        Gpu(
            index=index,
            uuid=name_of(index),
            type="A100-SXM4-80GB",
            memory_total_bytes=80 * GIB,
            memory_free_bytes=79 * GIB,
            nvlink_island="nvlink-0",
            facts=facts,
        )
        for index in range(num_gpus)
    )
    return Node(node_id=node_id, name=node_id, gpus=gpus)


def fake_reading(node: Node, now_s: float) -> NodeReading:
    moving = now_s % 37
    gpus = tuple(
        GpuReading(
            uuid=gpu.uuid,
            memory_total_bytes=gpu.memory_total_bytes,
            memory_used_bytes=GIB,
            memory_free_bytes=79 * GIB,
            utilization_percent=50.0 + moving,
            temperature_c=40.0 + moving,
            power_w=300.0 + moving,
            power_limit_w=700.0,
            energy_j=1e6 + now_s,
            memory_busy_percent=20.0 + moving,
            encoder_percent=0.0,
            decoder_percent=0.0,
            memory_temperature_c=50.0 + moving,
            performance_state=0,
            sm_clock_mhz=1755.0,
            memory_clock_mhz=2619.0,
            throttle_reasons=(),
            absent={"fan_percent": "not supported by this GPU"},
        )
        for gpu in node.gpus
    )
    return NodeReading(node_id=node.node_id, taken_at_s=now_s, gpus=gpus)


def fake_detail(node: Node, now_s: float) -> NodeDetail:
    gpus = tuple(GpuDetail(uuid=gpu.uuid, pcie_generation=5, pcie_width=16) for gpu in node.gpus)
    return NodeDetail(node_id=node.node_id, taken_at_s=now_s, gpus=gpus)


def names_of(nodes: Iterable[Node]) -> list[str]:
    return [node.name for node in nodes]

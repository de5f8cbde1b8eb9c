"""A cluster as it is now: inventory, readings and slow figures joined node by node and GPU by GPU. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from cluster.deploy.status import DeploymentStatus
from cluster.detail import GpuDetail, NodeDetail
from cluster.inventory import Cluster, Gpu, Node
from cluster.telemetry import STALE_AFTER_S, UNRELIABLE_STATES, GpuReading, NodeReading

DETAIL_STALE_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class GpuNow:
    """One GPU with what was last read of it."""

    gpu: Gpu
    reading: GpuReading | None = None
    detail: GpuDetail | None = None


@dataclass(frozen=True, slots=True)
class NodeNow:
    """One node with what was last read of it. Ages are in seconds, None where nothing was read."""

    node: Node
    state: str
    """'ok', 'stale', 'hung', 'lost', 'no_gpus', 'left', or 'unread' where nothing was ever read."""
    reason: str
    """Why it is not 'ok'; may be empty."""
    reading: NodeReading | None
    detail: NodeDetail | None
    age_s: float | None
    detail_age_s: float | None
    gpus: tuple[GpuNow, ...]

    @property
    def is_fresh(self) -> bool:
        """Whether its readings are of now."""
        return self.state in ("ok", "no_gpus")

    @property
    def detail_is_fresh(self) -> bool:
        """Whether its slow figures are of now."""
        age_s = self.detail_age_s
        return self.is_fresh and age_s is not None and age_s <= DETAIL_STALE_AFTER_S


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything known of a cluster at Unix time `now_s`."""

    cluster: Cluster
    now_s: float
    title: str = ""
    readings: Mapping[str, NodeReading] = field(default_factory=dict)
    """By node_id."""
    details: Mapping[str, NodeDetail] = field(default_factory=dict)
    deployments: tuple[DeploymentStatus, ...] = ()

    @property
    def is_described(self) -> bool:
        """The cluster comes from a file or a spec: nothing is read of it."""
        return self.cluster.source in ("file", "spec") and not self.readings

    def nodes(self) -> Iterator[NodeNow]:
        """Yield the nodes in the order of the inventory."""
        for node in self.cluster.nodes:
            yield self._joined(node)

    def _joined(self, node: Node) -> NodeNow:
        reading, detail = self.readings.get(node.node_id), self.details.get(node.node_id)
        age_s = None if reading is None else max(0.0, self.now_s - reading.taken_at_s)
        state, reason = self._state_of(node, reading, age_s)
        read = {one.uuid: one for one in reading.gpus} if reading is not None else {}
        slow = {one.uuid: one for one in detail.gpus} if detail is not None else {}
        return NodeNow(
            node=node,
            state=state,
            reason=reason,
            reading=reading,
            detail=detail,
            age_s=age_s,
            detail_age_s=None if detail is None else max(0.0, self.now_s - detail.taken_at_s),
            gpus=tuple(GpuNow(gpu, read.get(gpu.uuid), slow.get(gpu.uuid)) for gpu in node.gpus),
        )

    def _state_of(self, node: Node, reading: NodeReading | None, age_s: float | None) -> tuple[str, str]:
        if node.left is not None:
            return "left", node.left.reason
        if reading is None or age_s is None:
            why = f"this cluster comes from a {self.cluster.source}" if self.is_described else ""
            return "unread", node.error or why or "nothing was read of it yet"
        if reading.state == "ok" and age_s > STALE_AFTER_S:
            return "stale", f"its last reading is {age_s:.0f} s old"
        return reading.state, reading.reason or (
            node.error or "" if reading.state in UNRELIABLE_STATES else ""
        )

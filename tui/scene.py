"""What the map shows: hardware, live readings and roles in layouts, joined GPU by GPU on demand.

Only the GPUs on screen are ever joined, so ten thousand GPUs cost no more than the lines that are visible.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.deploy.status import DeploymentStatus
from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.result import Candidate
from cluster.telemetry import STALE_AFTER_S, GpuReading, NodeReading
from tui.health_marks import Mark, mark_of
from tui.roles import PlannedRoles, Role, live_roles
from tui.store import SILENT_STATES, Snapshot

_MOST_PREPARED = 8
"""Layouts whose roles are kept: on ten thousand GPUs they take about a MiB each."""
_NO_ROLES: Mapping[str, Role] = {}
_NO_READINGS: Mapping[str, GpuReading] = {}


@dataclass(frozen=True, slots=True)
class GpuView:
    """One GPU as the map draws it. Readings are None where there is none."""

    gpu: Gpu
    used_bytes: int | None
    total_bytes: int | None
    utilization_percent: float | None
    temperature_c: float | None
    power_w: float | None
    role: Role | None
    mark: Mark

    @property
    def trouble(self) -> str | None:
        """Why this GPU cannot be used, if so."""
        return self.mark.text if self.mark.state == "unhealthy" else None

    @property
    def overfull(self) -> bool:
        """The layout would need more than the GPU has."""
        return self.total_bytes is not None and (self.used_bytes or 0) + self.planned_bytes > self.total_bytes

    @property
    def planned_bytes(self) -> int:
        """Bytes of the layout that are not on the GPU yet."""
        if self.role is None:
            return 0
        if self.role.live:
            return max(0, self.role.planned_bytes - (self.used_bytes or 0))
        return self.role.planned_bytes


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """State of a node's readings as one word, and their age."""

    word: str
    """'' when all is well."""
    reason: str
    age_s: float | None


class ReadingIndex:
    """Finds a GPU's reading by its uuid. A node's readings are indexed when a GPU of it is first drawn."""

    def __init__(self) -> None:
        self._by_node: dict[str, tuple[NodeReading, dict[str, GpuReading]]] = {}

    def by_uuid(self, reading: NodeReading) -> Mapping[str, GpuReading]:
        """Return the readings of a node's GPUs by uuid."""
        indexed = self._by_node.get(reading.node_id)
        if indexed is None or indexed[0] is not reading:
            indexed = (reading, {gpu.uuid: gpu for gpu in reading.gpus})
            self._by_node[reading.node_id] = indexed
        return indexed[1]


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that the map draws, frozen."""

    cluster: Cluster
    readings: Mapping[str, NodeReading] = field(default_factory=dict)
    planned: Mapping[str, Role] = field(default_factory=dict)
    live: Mapping[str, Role] = field(default_factory=dict)
    now_s: float = 0.0
    disconnected: bool = False
    """The connection to the cluster is broken: no reading is fresh, however young."""
    index: ReadingIndex = field(default_factory=ReadingIndex, compare=False)
    """Shared by the scenes of one map."""

    def differs_only_in_time(self, other: Scene) -> bool:
        """Return whether only time passed between two scenes."""
        return (
            self.cluster is other.cluster
            and self.readings is other.readings
            and self.planned is other.planned
            and self.live is other.live
            and self.disconnected == other.disconnected
        )

    def gpu_view(self, node: Node, gpu: Gpu) -> GpuView:
        """Join one GPU's inventory, reading and role."""
        reading = self.reading(node, gpu)
        total = (
            reading.memory_total_bytes if reading and reading.memory_total_bytes else gpu.memory_total_bytes
        )
        return GpuView(
            gpu=gpu,
            used_bytes=used_bytes(gpu, reading, total),
            total_bytes=total,
            utilization_percent=reading.utilization_percent if reading else None,
            temperature_c=reading.temperature_c if reading else None,
            power_w=reading.power_w if reading else None,
            role=self.role(gpu),
            mark=mark_of(gpu, reading),
        )

    def health(self, node: Node) -> NodeHealth:
        """Return how fresh a node's readings are, or that the node is dead and for how long."""
        if node.left is not None:
            return NodeHealth("dead", node.left.reason, max(0.0, self.now_s - node.left.at_s))
        reading = self.readings.get(node.node_id)
        if reading is None:
            return NodeHealth("unread" if node.error else "", node.error or "", None)
        age_s = max(0.0, self.now_s - reading.taken_at_s)
        word = {"ok": "", "no_gpus": "no GPUs"}.get(reading.state, reading.state)
        if not word and (age_s > STALE_AFTER_S or self.disconnected):
            word = "stale"
        return NodeHealth(word, reading.reason or node.error or "", age_s)

    def role(self, gpu: Gpu) -> Role | None:
        """Return a GPU's role in what runs there, else in the highlighted layout."""
        return self.live.get(gpu.uuid) or self.planned.get(gpu.uuid)

    def reading(self, node: Node, gpu: Gpu) -> GpuReading | None:
        """Return what was last read of a GPU; None where its node does not answer."""
        return self.readings_on(node).get(gpu.uuid)

    def readings_on(self, node: Node) -> Mapping[str, GpuReading]:
        """Return what was last read of a node's GPUs, by uuid; nothing where it does not answer."""
        reading = self.readings.get(node.node_id)
        if reading is None or reading.state in SILENT_STATES or node.left is not None:
            return _NO_READINGS
        return self.index.by_uuid(reading)


def used_bytes(gpu: Gpu, reading: GpuReading | None, total: int | None) -> int | None:
    """Return what is used of a GPU's memory: as read, else what the inventory leaves of the total."""
    if reading is not None:
        return reading.memory_used_bytes
    if total is not None and gpu.memory_free_bytes is not None:
        return max(0, total - gpu.memory_free_bytes)
    return None


class SceneBuilder:
    """Freezes scenes; roles are worked out again only when their layout or deployment changes.

    Placing a layout on ten thousand GPUs takes longer than a key may, so the roles of the layouts that the
    cursor can reach next are prepared in a worker thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[int, tuple[Candidate, Mapping[str, Role]]] = {}
        """By id of the candidate, which the entry keeps alive."""
        self._index = ReadingIndex()
        self._deployments: tuple[DeploymentStatus, ...] = ()
        self._live: dict[str, Role] = {}

    def scene(self, snapshot: Snapshot, candidate: Candidate | None, now_s: float) -> Scene | None:
        """Freeze what the map shows now; None while no cluster is known."""
        if snapshot.cluster is None:
            return None
        if snapshot.deployments is not self._deployments:
            self._deployments, self._live = snapshot.deployments, live_roles(snapshot.deployments)
        planned = _NO_ROLES if candidate is None else self.prepare(candidate)
        live, disconnected = self._live, snapshot.disconnected
        return Scene(snapshot.cluster, snapshot.readings, planned, live, now_s, disconnected, self._index)

    def is_prepared(self, candidate: Candidate) -> bool:
        """Return whether a scene of this layout takes no placing first."""
        return id(candidate) in self._planned

    def prepare(self, candidate: Candidate) -> Mapping[str, Role]:
        """Return the roles of a layout; they are kept for the next scene of it. Safe in any thread."""
        known = self._planned.get(id(candidate))
        if known is not None:
            return known[1]
        roles = PlannedRoles(candidate)
        with self._lock:
            self._planned[id(candidate)] = (candidate, roles)
            while len(self._planned) > _MOST_PREPARED:
                del self._planned[next(iter(self._planned))]
        return roles


def used_by_deployments(snapshot: Snapshot) -> dict[str, int]:
    """Map the GPUs that deployments hold to the bytes that NVML reads there."""
    nodes = {rank.node_id for status in snapshot.deployments for rank in status.ranks}
    readings = (snapshot.readings.get(node) for node in nodes)
    return {
        gpu.uuid: gpu.memory_used_bytes
        for reading in readings
        if reading is not None
        for gpu in reading.gpus
        if gpu.memory_used_bytes is not None
    }

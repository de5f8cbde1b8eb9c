"""What the pages of a GPU and of a node show: everything known of one place. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.deploy.status import DeploymentStatus, RankStatus
from cluster.detail import GpuDetail, NodeDetail
from cluster.inventory import Gpu, GpuProcess, Node
from cluster.planner.layout import Placement
from cluster.planner.result import Candidate
from cluster.telemetry import GpuReading, NodeReading
from tui.format import age, role_name
from tui.health_marks import Mark, mark_of
from tui.scene import NodeHealth, Scene
from tui.store import SILENT_STATES, Snapshot
from tui.views import Place

NOT_READ_YET = "not read yet"


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node and what is known of it now."""

    node: Node
    health: NodeHealth
    reading: NodeReading | None
    """None where the node does not answer; `why_not` says why."""
    detail: NodeDetail | None
    why_not: str
    age_s: float | None

    def gpu_reading(self, gpu: Gpu) -> GpuReading | None:
        """Return a GPU's latest reading."""
        readings = self.reading.gpus if self.reading is not None else ()
        return next((reading for reading in readings if reading.uuid == gpu.uuid), None)

    def gpu_detail(self, gpu: Gpu) -> GpuDetail | None:
        """Return a GPU's latest slow figures."""
        details = self.detail.gpus if self.detail is not None else ()
        return next((detail for detail in details if detail.uuid == gpu.uuid), None)

    def mark(self, gpu: Gpu) -> Mark:
        """Return a GPU's health."""
        return mark_of(gpu, self.gpu_reading(gpu))

    def processes(self, gpu: Gpu) -> tuple[tuple[GpuProcess, ...], str]:
        """Return a GPU's processes, and why they are unknown where they are."""
        reading = self.gpu_reading(gpu)
        if reading is None:
            return gpu.processes, "" if gpu.processes else self.why_not
        return reading.processes, reading.absent.get("processes", "")


def node_view(snapshot: Snapshot, node_id: str, now_s: float) -> NodeView | None:
    """Look a node up; None once it is gone from the inventory."""
    cluster = snapshot.cluster
    node = next((node for node in cluster.nodes if node.node_id == node_id), None) if cluster else None
    if cluster is None or node is None:
        return None
    scene = Scene(cluster, snapshot.readings, now_s=now_s, disconnected=snapshot.disconnected)
    health, reading = scene.health(node), snapshot.readings.get(node_id)
    why_not = node.error or NOT_READ_YET
    if node.left is not None:
        reading, why_not = None, f"the node died: {node.left.reason}"
    elif reading is not None and reading.state in SILENT_STATES:
        why_not = f"the node is {reading.state}" + (f": {reading.reason}" if reading.reason else "")
        reading = None
    detail = snapshot.details.get(node_id) if node.left is None else None
    return NodeView(node, health, reading, detail, why_not, health.age_s)


def neighbor(snapshot: Snapshot, place: Place, step: int) -> Place:
    """Return the next GPU of the cluster, or the next node for a node; the same place at the end."""
    nodes = snapshot.cluster.nodes if snapshot.cluster is not None else ()
    if place.gpu_uuid is None:
        places = [Place(node.node_id) for node in nodes]
    else:
        places = [Place(node.node_id, gpu.uuid) for node in nodes for gpu in node.gpus]
    if place not in places:
        return place
    return places[max(0, min(len(places) - 1, places.index(place) + step))]


def rank_on(snapshot: Snapshot, gpu_uuid: str) -> tuple[DeploymentStatus, RankStatus] | None:
    """Return what of ours runs on a GPU."""
    for status in snapshot.deployments:
        for rank in status.ranks:
            if rank.gpu_uuid == gpu_uuid:
                return status, rank
    return None


def placement_on(candidate: Candidate | None, gpu_uuid: str) -> Placement | None:
    """Return what a layout would put on a GPU."""
    placement = candidate.placement if candidate is not None else ()
    return next((place for place in placement if place.gpu_uuid == gpu_uuid), None)


def planned_name(candidate: Candidate, place: Placement) -> str:
    """Name a planned rank: 'R0·T2'."""
    return role_name(place.replica, place.stage, place.rank, candidate.layout)


def planned_bytes(candidate: Candidate, place: Placement) -> int | None:
    """Return the memory that a planned rank takes; None where it was not worked out."""
    memory = candidate.memory_by_stage
    if memory:
        return memory[min(place.stage, len(memory) - 1)].total_bytes
    return candidate.memory_per_gpu.total_bytes if candidate.memory_per_gpu is not None else None


def ago(seconds: float) -> str:
    """Format how long ago something was: 'now', '12 s ago'."""
    text = age(seconds)
    return text if text == "now" else f"{text} ago"

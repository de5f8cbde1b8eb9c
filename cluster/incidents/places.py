"""Names of nodes and GPUs, for incidents that only know their ids."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.incidents.incident import Incident, Kind, Severity
from cluster.inventory import Cluster, Gpu, Node


@dataclass(frozen=True, slots=True)
class Place:
    """A node, or one of its GPUs."""

    node: Node
    gpu: Gpu | None = None

    @property
    def name(self) -> str:
        """'node-1', or 'node-1 GPU 3'."""
        return self.node.name if self.gpu is None else f"{self.node.name} GPU {self.gpu.index}"

    def incident(
        self, at_s: float, kind: Kind, severity: Severity, what: str, evidence: str = ""
    ) -> Incident:
        """Describe what happened here."""
        uuid = None if self.gpu is None else self.gpu.uuid
        return Incident(at_s, kind, severity, self.name, what, evidence, self.node.node_id, uuid)


class Places:
    """Finds nodes by id and GPUs by uuid."""

    def __init__(self) -> None:
        self.nodes: dict[str, Place] = {}
        self.gpus: dict[str, Place] = {}

    def take(self, cluster: Cluster) -> None:
        """Use the names of another inventory."""
        self.nodes = {node.node_id: Place(node) for node in cluster.nodes}
        self.gpus = {gpu.uuid: Place(node, gpu) for node in cluster.nodes for gpu in node.gpus}


def found_at_start(incident: Incident) -> Incident:
    """Mark an incident as one that nobody saw begin."""
    return replace(incident, at_start=True)

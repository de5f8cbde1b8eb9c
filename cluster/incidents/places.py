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
        self._of_node: dict[str, dict[str, Place]] = {}

    def take(self, cluster: Cluster) -> None:
        """Use the names of another inventory; a node that did not change is the same object in both."""
        of_node = {node.node_id: self._gpus_of(node) for node in cluster.nodes}
        self.nodes = {node.node_id: self._place_of(node) for node in cluster.nodes}
        self.gpus = {uuid: place for places in of_node.values() for uuid, place in places.items()}
        self._of_node = of_node

    def _place_of(self, node: Node) -> Place:
        known = self.nodes.get(node.node_id)
        return known if known is not None and known.node is node else Place(node)

    def _gpus_of(self, node: Node) -> dict[str, Place]:
        known = self.nodes.get(node.node_id)
        if known is not None and known.node is node:
            return self._of_node[node.node_id]
        return {gpu.uuid: Place(node, gpu) for gpu in node.gpus}


def found_at_start(incident: Incident) -> Incident:
    """Mark an incident as one that nobody saw begin."""
    return replace(incident, at_start=True)

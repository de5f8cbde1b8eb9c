"""All watches together: what is seen of a cluster goes in, what happened comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.deploy.status import DeploymentStatus
from cluster.detail import NodeDetail
from cluster.incidents.deployment_watch import DeploymentWatch
from cluster.incidents.fold import fold
from cluster.incidents.gpu_watch import GpuWatch
from cluster.incidents.health_watch import HealthWatch
from cluster.incidents.incident import Incident
from cluster.incidents.link_watch import LinkWatch
from cluster.incidents.node_watch import NodeWatch
from cluster.incidents.places import Place, Places
from cluster.incidents.xid_watch import XidWatch
from cluster.inventory import Cluster
from cluster.telemetry import NodeReading


class IncidentWatch:
    """Knows what was seen last. Not thread-safe; `now_s` is Unix time and should not run backwards."""

    def __init__(self) -> None:
        self._places = Places()
        self._nodes, self._gpus, self._health = NodeWatch(), GpuWatch(), HealthWatch()
        self._links, self._xids, self._deployments = LinkWatch(), XidWatch(), DeploymentWatch()
        self._lost = ""
        """Why the connection is down; '' while it is up."""

    def see_cluster(self, cluster: Cluster, now_s: float) -> list[Incident]:
        """Compare the inventory with the one before."""
        self._places.take(cluster)
        for watch in (self._gpus, self._health, self._links, self._xids):
            watch.keep(self._places.gpus)
        return fold([*self._nodes.see_cluster(cluster, now_s), *self._see_health(cluster, now_s)])

    def see_readings(self, nodes: Sequence[NodeReading], now_s: float) -> list[Incident]:
        """Compare readings with those before; nodes that are not in the inventory are left out."""
        seen = [one for node in nodes for one in self._see_reading(node, now_s)]
        return fold([*seen, *self._links.due(now_s, self._places.gpus)])

    def see_details(self, nodes: Sequence[NodeDetail], now_s: float) -> list[Incident]:
        """Compare slow figures with those before."""
        return fold([one for node in nodes for one in self._see_detail(node, now_s)])

    def see_deployments(self, deployments: Sequence[DeploymentStatus], now_s: float) -> list[Incident]:
        """Compare all deployments with those before."""
        return fold(self._deployments.see(deployments, now_s))

    def see_connection(self, lost: str, now_s: float) -> list[Incident]:
        """Compare the connection with what it was: `lost` says why it is down, '' that it is up."""
        was, self._lost = self._lost, lost
        if bool(was) == bool(lost):
            return []
        if lost:
            return [Incident(now_s, "connection", "bad", "connection", "is down", lost)]
        return [Incident(now_s, "connection", "good", "connection", "is up again")]

    def _see_health(self, cluster: Cluster, now_s: float) -> Iterator[Incident]:
        for node in cluster.nodes:
            if node.left is None and not self._nodes.is_silent(node.node_id):
                for gpu in node.gpus:
                    if gpu.health is not None:
                        yield from self._health.see(gpu, self._places.gpus[gpu.uuid], now_s)

    def _see_reading(self, reading: NodeReading, now_s: float) -> Iterator[Incident]:
        place = self._places.nodes.get(reading.node_id)
        if place is None:
            return
        incident = self._nodes.see_reading(reading, place, now_s)
        if incident is not None:
            yield incident
        if reading.state == "ok":
            for gpu in reading.gpus:
                if self._gpus.is_quiet(gpu):
                    continue
                found = self._place(gpu.uuid, place)
                if found is not None:
                    yield from self._gpus.see(gpu, found, now_s)

    def _see_detail(self, detail: NodeDetail, now_s: float) -> Iterator[Incident]:
        for gpu in detail.gpus:
            place = self._places.gpus.get(gpu.uuid)
            if place is not None:
                yield from self._links.see(gpu, place, now_s)
                yield from self._xids.see(gpu, place)

    def _place(self, uuid: str, node: Place) -> Place | None:
        """Return a GPU's place; two nodes may report the same GPU, which is then the inventory's."""
        place = self._places.gpus.get(uuid)
        return place if place is not None and place.node.node_id == node.node.node_id else None

"""The nodes of a Ray cluster, with a probe on each; a slow probe does not delay the others."""

from __future__ import annotations

import time
from typing import Any

from cluster.bridge.driver.node_probe import GpuLoad, NodeProbe, is_simulated, simulated_node
from cluster.bridge.driver.other_jobs import ForeignClaims
from cluster.bridge.driver.watched_node import WatchedNode, watch
from cluster.deploy.remote_class import remote_class
from cluster.deploy.stuck import StuckWatch, Suspicion
from cluster.errors import BadInput
from cluster.inventory import Cluster, Node
from cluster.telemetry import NodeReading
from cluster.text import clean

_ANSWER_S = 0.4
_DEAD_SHOWN_S = 60.0


class Discovery:
    """Looks at all nodes each time it is asked; keyed by Ray's NodeID, since names and addresses repeat."""

    def __init__(self, ray: Any, engine_pythons: dict[str, str]) -> None:
        self._ray, self._engine_pythons = ray, engine_pythons
        self._nodes: dict[str, WatchedNode] = {}
        self._foreign = ForeignClaims()

    def look(self, loads: dict[str, list[GpuLoad]]) -> None:
        """Take in which nodes there are and what their probes answer within a fraction of a second."""
        self._take_nodes(self._ray.nodes())
        for watched in self._nodes.values():
            if watched.died_at_s is None:
                self._ask(watched, loads.get(watched.node_id, []))
        self._gather()

    def cluster(self, claims: dict[str, str]) -> Cluster:
        """Return the inventory; `claims` maps GPU uuids to the deployments that hold them."""
        shown = self._in_order()
        simulated = any(is_simulated(watched.labels) for watched in shown)
        if simulated:
            # The head of an embedded cluster is not part of the cluster that it simulates.
            shown = [watched for watched in shown if watched.shows_gpus]
        known = [watched.shown() for watched in shown]
        claims = self._foreign.add(known, claims, self._num_free())
        nodes = tuple(_claimed(node, claims) for node in known)
        return Cluster(
            source="simulated" if simulated else "ray",
            nodes=nodes,
            simulated=simulated,
            taken_at_s=time.time(),
        )

    def _num_free(self) -> dict[str, int]:
        """Return how many GPUs of each node Ray would still give away; left out where Ray counts none."""
        from ray._private.state import available_resources_per_node

        free = available_resources_per_node()
        return {
            node_id: int(free.get(node_id, {}).get("GPU", 0))
            for node_id, watched in self._nodes.items()
            if watched.num_gpus
        }

    def dismiss(self, node_id: str) -> None:
        """Forget a dead node; BadInput for one that is alive or not known."""
        watched = self._nodes.get(node_id)
        if watched is None:
            raise BadInput(
                f"no node {clean(node_id, 80)} in this cluster", "It may have been forgotten already"
            )
        if watched.died_at_s is None:
            raise BadInput(
                f"node {watched.name} is alive", "Only a node that left the cluster can be dismissed"
            )
        del self._nodes[node_id]

    def readings(self) -> tuple[NodeReading, ...]:
        """Return the latest reading of every node, marked where it is late or the node is gone."""
        simulated = any(is_simulated(watched.labels) for watched in self._nodes.values())
        return tuple(
            watched.reading_now() for watched in self._in_order() if watched.shows_gpus or not simulated
        )

    def settled(self) -> bool:
        """True once every living node has answered or has had its time to."""
        return all(watched.settled for watched in self._nodes.values())

    def _in_order(self) -> list[WatchedNode]:
        return sorted(self._nodes.values(), key=lambda watched: (_natural(watched.name), watched.node_id))

    def _take_nodes(self, seen: list[dict[str, Any]]) -> None:
        now_s = time.time()
        for entry in seen:
            node_id = entry["NodeID"]
            watched = self._nodes.get(node_id)
            if entry["Alive"]:
                if watched is None:
                    self._nodes[node_id] = watch(entry)
            elif watched is not None and watched.died_at_s is None:
                watched.left(entry.get("DeathReasonMessage") or "Ray gives no reason")
        for node_id, watched in list(self._nodes.items()):
            if watched.died_at_s is not None and now_s - watched.died_at_s > _DEAD_SHOWN_S:
                del self._nodes[node_id]

    def _ask(self, watched: WatchedNode, loads: list[GpuLoad]) -> None:
        if watched.node is None and is_simulated(watched.labels):
            watched.node = simulated_node(watched.node_id, watched.labels)
        if watched.probe is None:
            if time.time() < watched.next_start_s:
                return
            watched.probe = self._start_probe(watched)
            watched.stuck = StuckWatch(self._ray, f"ray::{NodeProbe.__name__}", Suspicion(hung_s=None))
        watched.look_at_silence()
        if watched.pending is None:
            watched.pending = watched.probe.look.remote(loads)
            watched.asked_at_s = time.time()

    def _start_probe(self, watched: WatchedNode) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = remote_class(self._ray, NodeProbe).options(
            num_cpus=0,
            num_gpus=0,
            max_restarts=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(watched.node_id, soft=False),
        )
        return actor.remote(watched.node_id, watched.name, watched.labels, self._engine_pythons)

    def _gather(self) -> None:
        pending = {w.pending: w for w in self._nodes.values() if w.pending is not None}
        if not pending:
            return
        ready, _ = self._ray.wait(list(pending), num_returns=len(pending), timeout=_ANSWER_S)
        for ref in ready:
            self._take_answer(pending[ref], ref)

    def _take_answer(self, watched: WatchedNode, ref: Any) -> None:
        watched.pending = None
        try:
            watched.answered(*self._ray.get(ref))
        except self._ray.exceptions.ActorDiedError as error:
            watched.failed(_gist(error))
        except Exception as error:
            watched.trouble = _gist(error)


def _claimed(node: Node, claims: dict[str, str]) -> Node:
    if not any(gpu.uuid in claims for gpu in node.gpus):
        return node
    gpus = tuple(
        gpu.model_copy(update={"claimed_by": claims[gpu.uuid]}) if gpu.uuid in claims else gpu
        for gpu in node.gpus
    )
    return node.model_copy(update={"gpus": gpus})


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Order 'node-2' before 'node-10'."""
    digits, parts = "", []
    for char in name + "\0":
        if char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((int(digits), ""))
            digits = ""
        parts.append((0, char))
    return tuple(parts)


def _gist(error: Exception) -> str:
    """Return the line of an error of Ray's that says most: the last one where it holds a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if not any(line.startswith('File "') for line in lines):
        return lines[0]
    missing = "; install it in the Python that runs Ray there" if "No module named" in lines[-1] else ""
    return lines[-1] + missing

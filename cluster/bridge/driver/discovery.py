"""The nodes of a Ray cluster, with a probe on each; a slow probe does not delay the others."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from cluster.bridge.driver.claimed_nodes import ClaimedNodes
from cluster.bridge.driver.dead_node import forgotten, without_returned
from cluster.bridge.driver.node_probe import NodeProbe
from cluster.bridge.driver.other_jobs import ForeignClaims
from cluster.bridge.driver.simulated_node import GpuLoad, SimulatedNode, is_simulated
from cluster.bridge.driver.watched_node import WatchedNode, watch
from cluster.deploy.remote_class import remote_class
from cluster.deploy.stuck import StuckWatch, Suspicion
from cluster.detail import NodeDetail
from cluster.errors import BadInput
from cluster.inventory import Cluster
from cluster.scenes.play import Playing
from cluster.scenes.scene import Scene
from cluster.telemetry import NodeReading
from cluster.text import clean

_ANSWER_S = 0.4
_LATE_S = 1.0
"""A probe that owes an answer for longer is not waited for: its answer is taken when it is there."""


MOST_DETAILS = 40
"""Nodes whose slow figures are sent at once; with 18 NVLinks a GPU they are larger than all else. Up to 200
nodes are not held back by this."""


class Discovery:
    """Looks at all nodes each time it is asked; keyed by Ray's NodeID, since names and addresses repeat."""

    def __init__(self, ray: Any, engine_pythons: dict[str, str], scene: Scene | None = None) -> None:
        self._ray, self._engine_pythons = ray, engine_pythons
        self._playing = None if scene is None else Playing(scene, time.time())
        self.entries: list[dict[str, Any]] = []
        """What Ray last said of its nodes, dead ones included."""
        self._nodes: dict[str, WatchedNode] = {}
        self._order: list[WatchedNode] = []
        self._claimed = ClaimedNodes()
        self._foreign = ForeignClaims()

    def look(self, loads: dict[str, list[GpuLoad]], held: dict[str, tuple[str, ...]]) -> None:
        """Take in which nodes there are and what their probes answer within a fraction of a second.

        `loads` and `held` say by node id what simulated GPUs show, and what of ours runs there.
        """
        self.entries = self._ray.nodes()
        self._take_nodes(self.entries)
        for watched in self._nodes.values():
            if watched.gone is None:
                self._ask(watched, loads.get(watched.node_id, []))
        self._gather(held)

    def cluster(self, claims: dict[str, str]) -> Cluster:
        """Return the inventory; `claims` maps GPU uuids to the deployments that hold them."""
        simulated = self._is_simulated()
        known = without_returned([watched.shown() for watched in self._seen()])
        claims = self._foreign.add(known, claims, self._num_free())
        # Its nodes were checked when they were made; checking 10,000 GPUs each second takes a while.
        return Cluster.model_construct(
            source="simulated" if simulated else "ray",
            nodes=self._claimed.with_claims(known, claims),
            simulated=simulated,
            taken_at_s=time.time(),
        )

    def _num_free(self) -> dict[str, int]:
        """Return how many GPUs of each living node are free in Ray; left out where Ray counts none."""
        from ray._private.state import available_resources_per_node

        free = available_resources_per_node()
        return {
            node_id: int(free.get(node_id, {}).get("GPU", 0))
            for node_id, watched in self._nodes.items()
            if watched.num_gpus and watched.gone is None
        }

    def dismiss(self, node_id: str) -> None:
        """Forget a dead node; BadInput for one that is alive or not known."""
        watched = self._nodes.get(node_id)
        if watched is None:
            raise BadInput(
                f"no node {clean(node_id, 80)} in this cluster", "It may have been forgotten already"
            )
        if not watched.is_dead:
            raise BadInput(
                f"node {watched.name} is alive", "Only a node that left the cluster can be dismissed"
            )
        if watched.gone is None:
            watched.dismissed = True
        else:
            self._forget(watched)

    def readings(self) -> tuple[NodeReading, ...]:
        """Return the latest reading of every node, marked where it is late or the node is gone."""
        return tuple(watched.reading_now() for watched in self._seen())

    def new_details(self) -> tuple[NodeDetail, ...]:
        """Return slow figures that came since they were last returned, of at most MOST_DETAILS nodes.

        The nodes that wait longest come first, so that a large cluster's come less often, and all of them do.
        """
        waiting = [one for one in self._seen() if one.has_new_detail]
        chosen = sorted(waiting, key=lambda one: one.detail_taken_at_s)[:MOST_DETAILS]
        return tuple([one.take_detail() for one in chosen])

    def _seen(self) -> list[WatchedNode]:
        """Return the nodes to show. The head of an embedded cluster is not part of what that simulates."""
        simulated = self._is_simulated()
        return [one for one in self._order if not one.dismissed and (one.shows_gpus or not simulated)]

    def _is_simulated(self) -> bool:
        return any(is_simulated(watched.labels) for watched in self._order)

    def settled(self) -> bool:
        """True once every living node has answered or has had its time to."""
        return all(watched.settled for watched in self._nodes.values())

    def _take_nodes(self, seen: list[dict[str, Any]]) -> None:
        for entry in seen:
            watched = self._nodes.get(entry["NodeID"])
            if entry["Alive"]:
                if watched is None:
                    self._nodes[entry["NodeID"]] = watch(entry)
            elif watched is not None and watched.gone is None:
                watched.left(entry.get("DeathReasonMessage") or "Ray gives no reason")
        dead = {one.node_id: one.died_at_s for one in self._nodes.values() if one.died_at_s is not None}
        for node_id in forgotten(dead, time.time()):
            self._forget(self._nodes[node_id])
        if len(self._order) != len(self._nodes):
            self._order = sorted(self._nodes.values(), key=lambda one: (_natural(one.name), one.node_id))

    def _forget(self, watched: WatchedNode) -> None:
        del self._nodes[watched.node_id]
        self._order = [one for one in self._order if one is not watched]

    def _ask(self, watched: WatchedNode, loads: list[GpuLoad]) -> None:
        if watched.node is None and is_simulated(watched.labels):
            watched.node = SimulatedNode(watched.node_id, watched.labels, self._playing).look()[0]
        if watched.probe is None:
            if time.time() < watched.next_start_s:
                return
            watched.probe = self._start_probe(watched)
            watched.stuck = StuckWatch(self._ray, f"ray::{NodeProbe.__name__}", Suspicion(hung_s=None))
        watched.look_at_silence()
        if watched.pending is None:
            claims = self._claimed.claims_of(watched.node_id)
            watched.pending = watched.probe.look.remote(loads, claims, watched.stamps)
            watched.asked_at_s = time.time()

    def _start_probe(self, watched: WatchedNode) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = remote_class(self._ray, NodeProbe).options(
            num_cpus=0,
            num_gpus=0,
            max_restarts=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(watched.node_id, soft=False),
        )
        return actor.remote(
            watched.node_id, watched.name, watched.labels, self._engine_pythons, self._playing
        )

    def _gather(self, held: dict[str, tuple[str, ...]]) -> None:
        pending = {w.pending: w for w in self._nodes.values() if w.pending is not None}
        prompt = [ref for ref, watched in pending.items() if watched.late_s() < _LATE_S]
        if prompt:
            self._ray.wait(prompt, num_returns=len(prompt), timeout=_ANSWER_S)
        if not pending:
            return
        ready, _ = self._ray.wait(list(pending), num_returns=len(pending), timeout=0)
        for ref, answer in zip(ready, self._answers(ready), strict=True):
            self._take_answer(pending[ref], answer, held)

    def _answers(self, ready: list[Any]) -> list[Any]:
        """Return the answers, or in their place the errors; all at once where none failed."""
        with contextlib.suppress(Exception):
            return list(self._ray.get(ready))
        return [self._answer(ref) for ref in ready]

    def _answer(self, ref: Any) -> Any:
        try:
            return self._ray.get(ref)
        except Exception as error:
            return error

    def _take_answer(self, watched: WatchedNode, answer: Any, held: dict[str, tuple[str, ...]]) -> None:
        watched.pending = None
        if isinstance(answer, self._ray.exceptions.ActorDiedError):
            watched.failed(_gist(answer))
        elif isinstance(answer, Exception):
            watched.trouble = _gist(answer)
        else:
            watched.answered(answer)
            watched.dismissed = watched.dismissed and watched.is_dead
            watched.held = held.get(watched.node_id, ())


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

"""The actor that keeps one deployment running: it claims the GPUs and owns the replicas and the router.

It is detached, so it outlives the session that started it; the ranks and the router are its children and end
with it. If it dies, Ray restarts it with the order as its argument: it then frees what it held and starts
over.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import Any

from cluster.deploy.actor_kind import actor_kind
from cluster.deploy.claims import NodeClaim, groups_of, remove_groups
from cluster.deploy.lifecycle import Action, deployment_state, next_action
from cluster.deploy.log_page import LogPage
from cluster.deploy.own_pause import OwnPause
from cluster.deploy.raylet_watch import RayletWatch
from cluster.deploy.replica_group import ReplicaGroup
from cluster.deploy.router_link import RouterLink
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.status import SERVING, DeploymentState, DeploymentStatus
from cluster.deploy.status_board import Poster, read_status
from cluster.deploy.status_of import status_of
from cluster.errors import BadInput, ClusterviewError

_CLAIM_S = 60.0
_CLAIM_GPU_S = 10.0
"""Seconds that claiming GPUs of one node may take, and more for each GPU: a process starts on each."""
_BUSY_LOOK_S = 0.2
_CALM_LOOK_S = 0.5
_FAILED_LOOK_PAUSE_S = 2.0
_MOST_FAILED_LOOKS = 5
_DRAIN_S = 10.0
_ORDERLY_S = 3.0
_SERVERS_END_S = 20.0
"""A server may take its patience to end, and its guard a few seconds to end the rest."""
_FREE_S = 20.0


class Controller:
    """One deployment, from order to end. Methods return at once."""

    def __init__(self, spec: DeploymentSpec) -> None:
        import ray

        self._ray, self._spec = ray, spec
        self._groups = [ReplicaGroup(ray, spec, number) for number in range(spec.layout.num_replicas)]
        self._router = RouterLink(ray, spec)
        self._failure: str | None = None
        self._stopping = threading.Event()
        self._claimed = False
        self._failed_looks = 0
        self._state = DeploymentState.STARTING
        self._state_since_s = time.monotonic()
        self._lock = threading.Lock()
        self._restarts = _restarts_before(ray, spec.name)
        self._raylets = RayletWatch()
        self._own_pause = OwnPause()
        self._poster = Poster(self.status)
        threading.Thread(target=self._run, name="controller", daemon=True).start()

    def status(self) -> DeploymentStatus:
        """Return what the deployment is doing now."""
        with self._lock:
            state, reason = self._derive_state()
            if state is not self._state:
                self._state, self._state_since_s = state, time.monotonic()
            age_s = time.monotonic() - self._state_since_s
            return status_of(self._spec, self._groups, state, reason, age_s, self._router, self._restarts)

    def stop(self) -> None:
        """Drain, free every GPU, and end this actor."""
        self._stopping.set()

    def order(self) -> DeploymentSpec:
        """Return the order that this controller carries out."""
        return self._spec

    def log(self, replica: int, member: int, first: int, most: int) -> LogPage:
        """Return lines of the server of one member (node) of a replica; first -20 means the last 20.

        Of a server that has ended, its last lines. Raises BadInput for a replica or a member there is not.
        """
        if not 0 <= replica < len(self._groups):
            raise BadInput(f"there is no replica {replica}", f"Choose one from 0 to {len(self._groups) - 1}")
        return self._groups[replica].log(member, first, most)

    def router(self) -> Any:
        """Return the router's actor; None if there is none."""
        return self._router.actor

    def _derive_state(self) -> tuple[DeploymentState, str]:
        views = [group.view() for group in self._groups]
        state, reason = deployment_state(views, stopping=self._stopping.is_set(), failure=self._failure)
        if state in SERVING and (trouble := self._router.trouble_now()):
            # Without a router no request is answered, whatever the replicas do.
            return DeploymentState.STARTING, trouble
        if state is DeploymentState.STARTING and not self._claimed:
            return state, "claiming its GPUs"
        trouble = self._silent_process() or self._silent_raylet()
        if state is DeploymentState.READY and trouble:
            return DeploymentState.DEGRADED, trouble
        return state, reason

    def _silent_process(self) -> str:
        for group in self._groups:
            if silence := group.silence():
                return f"replica {group.replica}: {silence}"
        return ""

    def _silent_raylet(self) -> str:
        """Return which of our nodes has a raylet that does not answer; its ranks keep running."""
        silent = self._raylets.silent()
        for place in self._spec.ranks:
            if (silent_s := silent.get(place.node_id)) is not None:
                raylet = f"the raylet of {place.node_name}"
                return f"{raylet} has not answered for {silent_s:.0f} s; its ranks keep running"
        return ""

    def _run(self) -> None:
        try:
            self._claim()
            while not self._stopping.wait(self._look_safely()):
                pass
        except BaseException as error:
            sys.stderr.write(f"controller of {self._spec.name}: {error!r}\n")
            words = error.one_line() if isinstance(error, ClusterviewError) else repr(error)
            self._fail(words)
            self._stopping.wait()
        self._end()

    def _claim(self) -> None:
        """Claim every GPU of the order, or raise; GPUs held before a restart are freed first."""
        self._router.start()
        left = groups_of(self._ray, self._spec.name)
        if left:
            remove_groups(self._ray, left, _FREE_S)
        for node_id, places in _by_node(self._spec).items():
            claim = NodeClaim(
                self._ray,
                self._spec.name,
                node_id,
                places[0].node_name,
                actor_kind(self._spec),
                is_called_off=self._stopping.is_set,
            )
            slots = claim.take([place.gpu_index for place in places], _CLAIM_S + _CLAIM_GPU_S * len(places))
            with self._lock:
                for process in (process for group in self._groups for process in group.processes):
                    if process.node_id == node_id:
                        process.take(self._ray, slots)
        self._claimed = True

    def _look_safely(self) -> float:
        """Check the deployment; an occasional failed call to Ray does not end a serving deployment."""
        try:
            pause_s = self._look()
        except Exception as error:
            self._failed_looks += 1
            sys.stderr.write(f"check {self._failed_looks} failed: {error!r}\n")
            if self._failed_looks > _MOST_FAILED_LOOKS:
                raise
            return _FAILED_LOOK_PAUSE_S
        self._failed_looks = 0
        return pause_s

    def _look(self) -> float:
        """Check everything once and act; return how long to wait before the next check."""
        busy = False
        self._forgive(self._own_pause.seconds())
        nodes = self._ray.nodes()
        living = {node["NodeID"] for node in nodes if node["Alive"]}
        ours = {place.node_id for place in self._spec.ranks}
        self._raylets.take(node for node in nodes if node["NodeID"] in ours)
        with self._lock:
            for group in self._groups:
                group.note_lost_nodes(living)
                decision = next_action(group.look())
                group.act(decision)
                busy = busy or not (group.proven or group.given_up)
                if decision.action in (Action.RESTART, Action.GIVE_UP):
                    sys.stderr.write(f"replica {group.replica}: {decision.action}: {decision.reason}\n")
            gave_up = all(group.given_up for group in self._groups)
        self._router.keep(self._groups)
        self.status()  # records since when the state holds, even if nobody asks
        if gave_up:
            self._fail(f"replica 0: {self._groups[0].given_up}")
            self._stopping.wait()
        return _BUSY_LOOK_S if busy or self._router.endpoint is None else _CALM_LOOK_S

    def _forgive(self, paused_s: float) -> None:
        """Do not count others as silent for the time that this process itself was paused."""
        with self._lock:
            for group in self._groups:
                for process in group.processes:
                    process.asked_at_s += paused_s
        self._router.forgive(paused_s)

    def _fail(self, reason: str) -> None:
        """Free everything but stay alive, so that the reason can be read."""
        with self._lock:
            self._failure = reason
            for group in self._groups:
                group.end(reason)
                group.given_up = group.given_up or reason
        self._router.end()
        self._free()

    def _end(self) -> None:
        self._router.drain(_DRAIN_S)
        for group in self._groups:
            group.ask_to_stop()
        self._await_orderly_end()
        with self._lock:
            for group in self._groups:
                group.end("stopped")
        self._router.end()
        self._free()
        self._raylets.end()
        self._poster.end(self._spec.name)
        myself = self._ray.get_runtime_context().current_actor
        self._ray.kill(myself, no_restart=True)

    def _await_orderly_end(self) -> None:
        until_s = time.monotonic() + (_ORDERLY_S if self._spec.server is None else _SERVERS_END_S)
        while time.monotonic() < until_s:
            with self._lock:
                views = [group.look() for group in self._groups]
            if all(rank.step in ("stopped", "failed") for view in views for rank in view.ranks):
                return
            time.sleep(_BUSY_LOOK_S)

    def _free(self) -> None:
        with contextlib.suppress(Exception):
            remove_groups(self._ray, groups_of(self._ray, self._spec.name), _FREE_S)


def _restarts_before(ray: Any, name: str) -> int:
    """Return how often this controller was restarted."""
    if not ray.get_runtime_context().was_current_actor_reconstructed:
        return 0
    posted = read_status(name)
    return 1 if posted is None else posted.status.controller_restarts + 1


def _by_node(spec: DeploymentSpec) -> dict[str, list[RankPlace]]:
    nodes: dict[str, list[RankPlace]] = {}
    for place in spec.ranks:
        nodes.setdefault(place.node_id, []).append(place)
    return nodes

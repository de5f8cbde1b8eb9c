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

from cluster.deploy.claim_order import claimed_nodes
from cluster.deploy.claims import groups_of, remove_groups
from cluster.deploy.drain import STOP_DRAIN_S
from cluster.deploy.lifecycle import Action, next_action
from cluster.deploy.log_page import LogPage
from cluster.deploy.order_board import order_now, remove_order
from cluster.deploy.own_pause import OwnPause
from cluster.deploy.raylet_watch import RayletWatch
from cluster.deploy.replica_group import ReplicaGroup
from cluster.deploy.resized import replicas_of
from cluster.deploy.router_link import RouterLink
from cluster.deploy.scaling import ORDERLY_S, SERVERS_END_S, Scaling
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.state_now import state_now
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.deploy.status_board import Poster, read_status
from cluster.deploy.status_of import status_of
from cluster.errors import BadInput, ClusterviewError, DeployFailed

_HURRIED_LOOK_S = 0.05
_BUSY_LOOK_S = 0.2
_CALM_LOOK_S = 0.5
_FAILED_LOOK_PAUSE_S = 2.0
_MOST_FAILED_LOOKS = 5
_DRAIN_LOOK_S = 0.2
_FREE_S = 20.0


class Controller:
    """One deployment, from order to end. Methods return at once."""

    def __init__(self, spec: DeploymentSpec) -> None:
        import ray

        spec = order_now(ray, spec)
        self._ray, self._name = ray, spec.name
        self._groups = [ReplicaGroup(ray, spec, number) for number in replicas_of(spec)]
        self._router = RouterLink(ray, spec)
        self._failure: str | None = None
        self._stopping = threading.Event()
        self._drain_until_s = float("inf")
        self._claimed = False
        self._failed_looks = 0
        self._state = DeploymentState.STARTING
        self._state_since_s = time.monotonic()
        self._lock = threading.Lock()
        self._scaling = Scaling(ray, spec, self._groups, self._lock, self._is_ending)
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
            return status_of(
                self._scaling.spec,
                self._groups,
                state,
                reason,
                age_s,
                self._router,
                self._restarts,
                self._scaling.status(),
            )

    def stop(self, drain_s: float = STOP_DRAIN_S) -> None:
        """Let requests in flight go on for at most `drain_s`, free every GPU, and end this actor.

        May be called again: the earliest deadline holds.
        """
        self._drain_until_s = min(self._drain_until_s, time.monotonic() + drain_s)
        self._stopping.set()

    def scale(self, spec: DeploymentSpec, drain_s: float) -> int:
        """Begin to run the replicas of `spec`, and return the number of this change; `status` follows it.

        `drain_s`: how long requests in flight with a replica that ends may go on. Raises DeployFailed when
        the deployment cannot be scaled now, BadInput for an order that does not follow from the present one.
        """
        if self._stopping.is_set() or self._failure is not None or not self._claimed:
            words = "stopping" if self._stopping.is_set() else "failed" if self._failure else "starting"
            raise DeployFailed(f"{self._name} is {words}", "A deployment is scaled while it runs")
        return self._scaling.begin(spec, drain_s)

    def order(self) -> DeploymentSpec:
        """Return the order that this controller carries out."""
        return self._scaling.spec

    def log(self, replica: int, member: int, first: int, most: int) -> LogPage:
        """Return lines of the server of one member (node) of a replica; first -20 means the last 20.

        Of a server that has ended, its last lines. Raises BadInput for a replica or a member there is not.
        """
        groups = {group.replica: group for group in list(self._groups)}
        if replica not in groups:
            known = ", ".join(str(number) for number in groups)
            raise BadInput(f"there is no replica {replica}", f"Its replicas: {known}")
        return groups[replica].log(member, first, most)

    def router(self) -> Any:
        """Return the router's actor; None if there is none."""
        return self._router.actor

    def _derive_state(self) -> tuple[DeploymentState, str]:
        return state_now(
            self._groups,
            self._router,
            self._raylets,
            self._scaling,
            failure=self._failure,
            is_claimed=self._claimed,
            stop_in_s=self._drain_until_s - time.monotonic() if self._stopping.is_set() else None,
        )

    def _is_ending(self) -> bool:
        return self._stopping.is_set() or self._failure is not None

    def _run(self) -> None:
        try:
            self._claim()
            while not self._stopping.wait(self._look_safely()):
                pass
        except BaseException as error:
            sys.stderr.write(f"controller of {self._name}: {error!r}\n")
            words = error.one_line() if isinstance(error, ClusterviewError) else repr(error)
            self._fail(words)
            self._stopping.wait()
        self._end()

    def _claim(self) -> None:
        """Claim every GPU of the order, or raise; GPUs held before a restart are freed first.

        The router starts with the first check after that: until then the cores are for what loads a model.
        """
        left = groups_of(self._ray, self._name)
        if left:
            remove_groups(self._ray, left, _FREE_S)
        spec = self._scaling.spec
        for node_id, slots in claimed_nodes(self._ray, spec, spec.ranks, self._stopping.is_set):
            with self._lock:
                for group in self._groups:
                    group.take(node_id, slots)
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
        ours = {place.node_id for place in self._places()}
        self._raylets.take(node for node in nodes if node["NodeID"] in ours)
        with self._lock:
            for group in self._groups:
                group.note_lost_nodes(living)
                if group.has_gpus and not group.draining:
                    self._decide(group)
                busy = busy or group.draining or not (group.proven or group.given_up)
            self._scaling.look(self._router.drained)
            gave_up = all(group.given_up for group in self._groups)
        self._router.keep(self._groups)
        self.status()  # records since when the state holds, even if nobody asks
        if gave_up:
            self._fail(f"replica {self._groups[0].replica}: {self._groups[0].given_up}")
            self._stopping.wait()
        if any(group.is_meeting for group in self._groups):
            return _HURRIED_LOOK_S
        return _BUSY_LOOK_S if busy or self._router.endpoint is None else _CALM_LOOK_S

    def _decide(self, group: ReplicaGroup) -> None:
        decision = next_action(group.look())
        group.act(decision)
        if decision.action in (Action.RESTART, Action.GIVE_UP):
            sys.stderr.write(f"replica {group.replica}: {decision.action}: {decision.reason}\n")

    def _places(self) -> list[RankPlace]:
        return [place for group in self._groups for place in group.places]

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
        self._scaling.end()
        self._free()

    def _end(self) -> None:
        self._drain()
        self._scaling.end()
        for group in self._groups:
            group.ask_to_stop()
        self._await_orderly_end()
        with self._lock:
            for group in self._groups:
                group.end("stopped")
        self._router.end()
        self._free()
        self._raylets.end()
        self._poster.end(self._name)
        remove_order(self._name)
        myself = self._ray.get_runtime_context().current_actor
        self._ray.kill(myself, no_restart=True)

    def _drain(self) -> None:
        """Take no more requests, and wait for those in flight until the deadline."""
        while not self._router.refuse() and time.monotonic() < self._drain_until_s:
            with self._lock:
                for group in self._groups:
                    group.look()
                groups = list(self._groups)
            self._router.keep(groups)
            time.sleep(_DRAIN_LOOK_S)

    def _await_orderly_end(self) -> None:
        is_builtin = self._scaling.spec.server is None
        until_s = time.monotonic() + (ORDERLY_S if is_builtin else SERVERS_END_S)
        while time.monotonic() < until_s:
            with self._lock:
                views = [group.look() for group in self._groups]
            if all(rank.step in ("stopped", "failed") for view in views for rank in view.ranks):
                return
            time.sleep(_BUSY_LOOK_S)

    def _free(self) -> None:
        with contextlib.suppress(Exception):
            remove_groups(self._ray, groups_of(self._ray, self._name), _FREE_S)


def _restarts_before(ray: Any, name: str) -> int:
    """Return how often this controller was restarted."""
    if not ray.get_runtime_context().was_current_actor_reconstructed:
        return 0
    posted = read_status(name)
    return 1 if posted is None else posted.status.controller_restarts + 1

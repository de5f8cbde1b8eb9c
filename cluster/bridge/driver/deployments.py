"""The deployments on a cluster: found, started and stopped through their controllers."""

from __future__ import annotations

import threading
import time
from typing import Any

from cluster.bridge.driver.describe_error import describe_error
from cluster.bridge.driver.event_writer import Send
from cluster.bridge.driver.known_deployment import KnownDeployment
from cluster.bridge.driver.simulated_loads import loads_of
from cluster.bridge.driver.simulated_node import GpuLoad
from cluster.bridge.events import TokenSeen
from cluster.bridge.keeper.embedded import NAME_LABEL
from cluster.catalog.nearest import nearest_names
from cluster.deploy.any_version import status_from_answer
from cluster.deploy.claims import all_groups, groups_of, remove_groups
from cluster.deploy.controller_watch import CONTROLLER_TITLE
from cluster.deploy.names import CONTROLLER_PREFIX, controller_name, deployment_of_group
from cluster.deploy.order_board import remove_order
from cluster.deploy.own_pause import OwnPause
from cluster.deploy.remote_class import remote_class
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState, DeploymentStatus
from cluster.deploy.status_board import read_status, remove_status
from cluster.deploy.stuck import StuckWatch, Suspicion, whereabouts
from cluster.errors import BadInput, DeployFailed, UnknownName, Unreachable

_ANSWER_S = 0.3
_FIRST_ANSWER_S = 1.5
# A controller's router looks after it first, and is nearer.
_SUSPECT_S = 7.0
_ACCEPTED_S = 5.0
_PROMPT_S = 1.0
"""An answer that takes no longer is no silence."""
_CREATED_S = 30.0
_STOPPED_S = 40.0
_FREED_S = 20.0
_LOOK_S = 0.2
_ORPHAN_LOOKS = 15


class Deployments:
    """Polls every controller each second; one that does not respond does not delay the others."""

    def __init__(self, ray: Any, send: Send) -> None:
        self._ray, self._send = ray, send
        self._known: dict[str, KnownDeployment] = {}
        self._lock = threading.Lock()
        self._orphan_looks: dict[str, int] = {}
        self._own_pause = OwnPause()

    def look(self) -> None:
        """Find the controllers there are and take in what they answer within a fraction of a second."""
        names = self._names()
        paused_s = self._own_pause.seconds()
        with self._lock:
            for known in self._known.values():
                known.asked_at_s += paused_s
                known.heard_at_s += paused_s
            for name in [name for name in self._known if name not in names]:
                del self._known[name]
            for name in names:
                if name not in self._known:
                    self._find(name)
            for known in self._known.values():
                if known.asked is None:
                    known.asked, known.asked_at_s = known.actor.status.remote(), time.monotonic()
            pending = {known.asked: known for known in self._known.values()}
            silent = [known for known in self._known.values() if known.silent_s() > _FIRST_ANSWER_S]
        if pending:
            ready, _ = self._ray.wait(list(pending), num_returns=len(pending), timeout=_ANSWER_S)
            for ref in ready:
                self._take(pending[ref], ref)
        for known in silent:
            self._look_at_silence(known)
        self._free_orphans(names)

    def _names(self) -> set[str]:
        actors = self._ray.util.list_named_actors()
        return {name.removeprefix(CONTROLLER_PREFIX) for name in actors if name.startswith(CONTROLLER_PREFIX)}

    def _find(self, name: str) -> None:
        try:
            self._known[name] = self._new(name, self._ray.get_actor(controller_name(name)))
        except ValueError:
            return

    def _new(self, name: str, actor: Any) -> KnownDeployment:
        suspicion = Suspicion(hung_s=None, suspect_s=_SUSPECT_S)
        return KnownDeployment(name, actor, StuckWatch(self._ray, CONTROLLER_TITLE, suspicion))

    def _take(self, known: KnownDeployment, ref: Any) -> None:
        known.asked = None
        try:
            known.status, known.heard_at_s = status_from_answer(self._ray.get(ref)), time.monotonic()
        except Exception as error:
            if known.status is not None:
                reason = f"its controller is restarting ({type(error).__name__})"
                update = {"reason": reason, "state": DeploymentState.STARTING}
                known.status, known.restarts = known.status.model_copy(update=update), True
                return
        known.restarts = False

    def _look_at_silence(self, known: KnownDeployment) -> None:
        """Show what a silent controller last posted, and revive it if its router has not."""
        posted = read_status(known.name)
        said_at_s = time.monotonic() - max(0.0, time.time() - posted.posted_at_s) if posted else 0.0
        if posted is not None and (known.status is None or said_at_s > known.heard_at_s):
            known.status, known.heard_at_s, known.restarts = posted.status, said_at_s, False
        known.watch.look(known.actor, known.silent_s())

    def _free_orphans(self, names: set[str]) -> None:
        """Free GPUs whose controller has been missing for several polls: nothing else would."""
        orphans = {
            group_id
            for group_id, name in all_groups(self._ray).items()
            if deployment_of_group(name) not in names
        }
        self._orphan_looks = {group_id: self._orphan_looks.get(group_id, 0) + 1 for group_id in orphans}
        overdue = [group_id for group_id, looks in self._orphan_looks.items() if looks > _ORPHAN_LOOKS]
        if overdue:
            remove_groups(self._ray, overdue, 0.0)

    def statuses(self) -> tuple[DeploymentStatus, ...]:
        """Return the latest status of each deployment, by name."""
        with self._lock:
            known = sorted(self._known.items())
        return tuple(entry.now() for _, entry in known)

    def claims(self) -> dict[str, str]:
        """Return which deployment holds each claimed GPU, by the GPU's uuid."""
        return {
            rank.gpu_uuid: status.name
            for status in self.statuses()
            if status.state is not DeploymentState.FAILED
            for rank in status.ranks
        }

    def loads(self) -> dict[str, list[GpuLoad]]:
        """Return what simulated GPUs should show, by node."""
        return loads_of(self.statuses())

    def deploy(self, spec: DeploymentSpec) -> None:
        """Start a controller and wait for its first answer; from then on it outlives this process.

        Raises BadInput when the name is taken.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        from cluster.deploy.controller import Controller

        # Ray often ignores soft affinity; without its head a cluster is lost anyway.
        node_id, _ = self.router_node()
        options = remote_class(self._ray, Controller).options(
            name=controller_name(spec.name),
            lifetime="detached",
            num_cpus=0,
            num_gpus=0,
            max_restarts=-1,
            max_concurrency=8,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
        )
        try:
            actor = options.remote(spec)
        except ValueError:
            raise BadInput(f"a deployment named {spec.name} already exists", "Choose another name") from None
        with self._lock:
            self._known[spec.name] = self._new(spec.name, actor)
        # Ray takes an actor back whose orderer dies before the head has all it needs to create it.
        self._ray.wait([actor.status.remote()], timeout=_CREATED_S)

    def router_node(self) -> tuple[str, str]:
        """Return id and name of the node on which controllers and routers run: the head."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        here = self._ray.get_runtime_context().get_node_id()
        head = next((node for node in nodes if "node:__internal_head__" in node["Resources"]), None)
        head = head or next(node for node in nodes if node["NodeID"] == here)
        return str(head["NodeID"]), str(head.get("Labels", {}).get(NAME_LABEL) or head["NodeName"])

    def stop(self, name: str, drain_s: float) -> None:
        """Stop a deployment, by force if need be, and return when its GPUs are free.

        Requests in flight may go on for `drain_s`.
        """
        names = self._names()
        if name not in names:
            nearest = ", ".join(nearest_names(name, names)) or "none is running"
            raise UnknownName(f"there is no deployment named {name}", f"Running: {nearest}")
        actor = self._ray.get_actor(controller_name(name))
        watch = self._new(name, actor).watch
        try:
            self._ray.get(_stop_call(actor, drain_s), timeout=_ACCEPTED_S)
            orderly = self._await_orderly_end(name, actor, drain_s + _STOPPED_S)
        except Exception:
            orderly = False
        if not orderly:
            # Find out first where the process is: Ray forgets that once it considers the actor dead.
            where = whereabouts(actor)
            self._ray.kill(actor, no_restart=True)
            watch.end_at(where)
            self._await_gone(name, _ACCEPTED_S)
            remove_status(name)
            remove_order(name)
        if not remove_groups(self._ray, groups_of(self._ray, name), _FREED_S):
            raise DeployFailed(
                f"{name} was stopped, but Ray has not freed its GPUs yet", "Check again in a minute"
            )

    def _await_orderly_end(self, name: str, actor: Any, deadline_s: float) -> bool:
        """Wait while the controller ends its deployment; False when it takes too long or is often silent."""
        until_s, asked, asked_at_s, silent_s = time.monotonic() + deadline_s, None, 0.0, 0.0
        while name in self._names():
            now_s = time.monotonic()
            if asked is None:
                asked, asked_at_s = actor.status.remote(), now_s
            ready, _ = self._ray.wait([asked], timeout=0)
            waited_s = now_s - asked_at_s
            # Silences add up: a controller that is stopped again and again answers now and then.
            if now_s > until_s or silent_s + waited_s > _ACCEPTED_S:
                return False
            if ready:
                asked, silent_s = None, silent_s + (waited_s if waited_s > _PROMPT_S else 0.0)
            time.sleep(_LOOK_S)
        return True

    def _await_gone(self, name: str, timeout_s: float) -> bool:
        until_s = time.monotonic() + timeout_s
        while name in self._names():
            if time.monotonic() > until_s:
                return False
            time.sleep(_LOOK_S)
        return True

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> None:
        """Send a prompt through the deployment's router and stream the answer as events."""
        router = self._router(name)
        try:
            replica = None
            for ref in router.prompt.options(num_returns="streaming").remote(text, max_tokens):
                piece, replica = self._ray.get(ref)
                if piece:
                    self._send(TokenSeen(prompt_id=prompt_id, text=piece, replica=replica))
        except Exception as error:
            words = describe_error(error)
            self._send(TokenSeen(prompt_id=prompt_id, done=True, error=words))
            raise DeployFailed(f"{name}: {words}") from error
        self._send(TokenSeen(prompt_id=prompt_id, done=True, replica=replica))

    def controller(self, name: str) -> Any:
        """Return the controller's actor of a deployment; UnknownName if there is none."""
        with self._lock:
            if name not in self._known:
                # An order may come before the first look.
                self._find(name)
            known = self._known.get(name)
        if known is None:
            raise UnknownName(f"there is no deployment named {name}", ", ".join(sorted(self._known)))
        return known.actor

    def _router(self, name: str) -> Any:
        controller = self.controller(name)
        try:
            router = self._ray.get(controller.router.remote(), timeout=_ACCEPTED_S)
        except Exception as error:
            raise Unreachable(f"the controller of {name} does not answer: {describe_error(error)}") from error
        if router is None:
            raise DeployFailed(f"{name} has no router yet", "Wait until it is ready")
        return router


def _stop_call(actor: Any, drain_s: float) -> Any:
    try:
        return actor.stop.remote(drain_s)
    except TypeError:
        # A controller of an older version has a deadline of its own.
        return actor.stop.remote()

"""A session on this machine: its GPUs are shown at once; Ray is started for the first deployment."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from cluster.bridge.calibrations import calibrated
from cluster.bridge.client import RaySession
from cluster.bridge.engine_lookup import EngineLookup
from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    DetailsSeen,
    Event,
    PreflightSeen,
    Progress,
    ReadingsSeen,
    SessionLost,
)
from cluster.bridge.inventory_diff import node_changed
from cluster.bridge.protocol import Target, lost_error
from cluster.bridge.rank_placement import on_cluster
from cluster.bridge.session import Listener, Session, no_dead_node
from cluster.bridge.state.records import LOCAL_KEY, read_record
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.preflight import verdicts_here
from cluster.deploy.spec import DeploymentSpec
from cluster.detail import NodeDetail
from cluster.errors import ClusterviewError, Unreachable
from cluster.health.watch import HealthWatch
from cluster.inventory import Cluster, Node
from cluster.probe.local import LOCAL_NODE_ID
from cluster.probe.naming import with_catalog_types
from cluster.probe.watch import ProbeProcess
from cluster.telemetry import NodeReading

TITLE = "this machine"

_Waiter = Callable[[Cluster | ClusterviewError], None]


class LocalSession:
    """Watches this machine through its own probe until a Ray of its own has joined and watches it instead."""

    def __init__(
        self,
        *,
        make_ray: Callable[[], Session] | None = None,
        make_probe: Callable[..., ProbeProcess] = ProbeProcess,
        engine_pythons: Mapping[str, str] | None = None,
    ) -> None:
        target = Target(engine_pythons=dict(engine_pythons or {}))
        self._make_ray = make_ray or (lambda: RaySession(target, TITLE))
        self._engines = EngineLookup(target.engine_pythons)
        self._make_probe = make_probe
        self._listener: Listener = lambda event: None
        self._emitting = threading.Lock()
        self._lock = threading.Lock()
        self._probe: ProbeProcess | None = None
        self._ray: Session | None = None
        self._ray_cluster: Cluster | None = None
        self._waiters: list[_Waiter] = []
        self._seen: Node | None = None
        self._detail: NodeDetail | None = None
        self._health = HealthWatch()
        self._last_message = ""
        self._left: Session | None = None
        self._closed = False

    @property
    def title(self) -> str:
        return TITLE

    @property
    def can_deploy(self) -> bool:
        """False once it is known that there is no GPU to deploy on."""
        return self._seen is None or bool(self._seen.gpus)

    def start(self, listener: Listener) -> None:
        """Watch this machine; where an earlier deployment keeps a local Ray alive, join it."""
        self._listener = listener
        self._engines.start()
        threading.Thread(target=self._begin, name="local-session", daemon=True).start()

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        """Start Ray here if need be, then order the deployment."""
        done: Future[None] = Future()

        def order(answer: Cluster | ClusterviewError) -> None:
            try:
                if isinstance(answer, ClusterviewError):
                    raise answer
                _chain(self._join().deploy(on_cluster(spec, answer)), done)
            except ClusterviewError as error:
                done.set_exception(error)

        self._when_joined(order)
        return done

    def check(self, spec: DeploymentSpec) -> Future[None]:
        """Check an order through the local Ray where it runs, else on this machine; Ray is not started."""
        done: Future[None] = Future()
        with self._lock:
            ray, cluster = self._ray, self._ray_cluster
        if ray is not None and cluster is not None:
            _chain(ray.check(on_cluster(spec, cluster)), done)
        else:
            threading.Thread(target=self._check_here, args=(spec, done), daemon=True).start()
        return done

    def _check_here(self, spec: DeploymentSpec, done: Future[None]) -> None:
        try:
            self._emit(PreflightSeen(name=spec.name, nodes=verdicts_here(spec)))
            done.set_result(None)
        except Exception as error:
            done.set_exception(error)

    def stop(self, name: str, drain_s: float = STOP_DRAIN_S) -> Future[None]:
        """Stop a deployment of the local Ray."""
        return self._ray.stop(name, drain_s) if self._ray is not None else _nothing_deployed()

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        """Scale a deployment of the local Ray."""
        return self._ray.scale(spec, drain_s) if self._ray is not None else _nothing_deployed()

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        """Send a prompt to a deployment of the local Ray."""
        if self._ray is None:
            return _nothing_deployed()
        return self._ray.prompt(name, prompt_id, text, max_tokens)

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        """Read lines of the log of a deployment of the local Ray."""
        if self._ray is None:
            return _nothing_deployed()
        return self._ray.logs(name, replica, member, first, most)

    def describe(self, name: str) -> Future[DeploymentSpec]:
        """Read the order of a deployment of the local Ray."""
        return self._ray.describe(name) if self._ray is not None else _nothing_deployed()

    def dismiss(self, node_id: str) -> Future[None]:
        """Dismiss a dead node of the local Ray; this machine itself is alive."""
        return self._ray.dismiss(node_id) if self._ray is not None else no_dead_node()

    def close(self) -> None:
        """End the probe and leave Ray; deployments stay."""
        with self._lock:
            self._closed = True
            ray, probe = self._ray, self._probe
            self._ray = self._probe = None
            self._left = ray or self._left
        self._release(Unreachable("the session is closed"))
        for part in (ray, probe):
            if part is not None:
                part.close()

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until the process that spoke to Ray has ended; False when it has not in time."""
        wait: Callable[[float], bool] | None = getattr(self._left, "wait_closed", None)
        return wait is None or wait(timeout_s)

    def _start_probe(self) -> None:
        self._seen = None
        probe = self._make_probe(LOCAL_NODE_ID, socket.gethostname(), listener=self._on_probe)
        with self._lock:
            if self._closed or self._ray_cluster is not None:
                return
            self._probe = probe
        probe.start()

    def _begin(self) -> None:
        with contextlib.suppress(ClusterviewError):
            # Joined first, so that listeners do not see an empty list of deployments meanwhile.
            if read_record(LOCAL_KEY) is not None:
                self._join()
        self._start_probe()

    def _join(self) -> Session:
        with self._lock:
            if self._closed:
                raise Unreachable("the session is closed")
            if self._ray is not None:
                return self._ray
            ray = self._ray = self._make_ray()
        ray.start(self._on_ray)
        return ray

    def _when_joined(self, waiter: _Waiter) -> None:
        try:
            self._join()
        except ClusterviewError as error:
            waiter(error)
            return
        with self._lock:
            cluster = self._ray_cluster
            if cluster is None:
                self._waiters.append(waiter)
        if cluster is not None:
            waiter(cluster)

    def _release(self, answer: Cluster | ClusterviewError) -> None:
        with self._lock:
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter(answer)

    def _on_probe(self, node: Node, reading: NodeReading, detail: NodeDetail | None) -> None:
        with self._lock:
            if self._ray_cluster is not None or self._probe is None:
                return
        node = with_catalog_types(self._engines.added_to(node))
        node = self._health.judge(node, reading, detail, time.monotonic())
        if self._seen is None or node_changed(self._seen, node, with_texts=True):
            self._seen = node
            self._emit(ClusterSeen(cluster=_cluster(node)))
            if self._ray is None:
                self._emit(DeploymentsSeen(deployments=()))
            if self._last_message:
                self._emit(Progress(message=self._last_message))
        self._emit(ReadingsSeen(nodes=(reading,)))
        if detail is not None and detail is not self._detail:
            self._detail = detail
            self._emit(DetailsSeen(nodes=(detail,)))

    def _on_ray(self, event: Event) -> None:
        if isinstance(event, SessionLost):
            self._leave_ray(event)
            return
        if isinstance(event, ClusterSeen) and event.cluster.num_gpus:
            with self._lock:
                self._ray_cluster = event.cluster
                probe, self._probe = self._probe, None
            if probe is not None:
                probe.close()
            self._emit(event)
            self._release(event.cluster)
        elif self._ray_cluster is not None or not isinstance(event, ClusterSeen | ReadingsSeen):
            self._emit(event)

    def _leave_ray(self, lost: SessionLost) -> None:
        with self._lock:
            self._ray = self._ray_cluster = None
            closed, watched = self._closed, self._probe is not None
        self._release(lost_error(lost))
        if closed:
            return
        self._emit(DeploymentsSeen(deployments=()))
        # Said after the cluster is shown again, which would wipe it off the screen.
        self._last_message = f"Ray on this machine ended: {lost.reason}"
        if watched:
            self._emit(Progress(message=self._last_message))
        else:
            self._start_probe()

    def _emit(self, event: Event) -> None:
        with self._emitting:
            if not self._closed:
                self._listener(event)


def _cluster(node: Node) -> Cluster:
    return calibrated(Cluster(source="nvml" if node.gpus else "none", nodes=(node,), taken_at_s=time.time()))


def _chain(inner: Future[None], outer: Future[None]) -> None:
    def settle(done: Future[None]) -> None:
        error = done.exception()
        if error is None:
            outer.set_result(None)
        else:
            outer.set_exception(error)

    inner.add_done_callback(settle)


def _nothing_deployed() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(Unreachable("nothing is deployed on this machine"))
    return future

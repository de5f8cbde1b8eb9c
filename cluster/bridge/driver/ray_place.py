"""What the child process does on its Ray cluster: join, poll each second, and carry out orders."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from cluster.bridge.calibrations import calibrated
from cluster.bridge.driver.calibrate import calibrate
from cluster.bridge.driver.dead_node import held_by_node
from cluster.bridge.driver.deployments import Deployments
from cluster.bridge.driver.discovery import Discovery
from cluster.bridge.driver.early_workers import start_workers, workers_of
from cluster.bridge.driver.event_writer import Send
from cluster.bridge.driver.preflight import ask_nodes
from cluster.bridge.driver.ray_link import check_answers, enter, leave
from cluster.bridge.driver.read_controller import read_log, read_order
from cluster.bridge.driver.scale import added_ranks, scale
from cluster.bridge.events import (
    ClusterSeen,
    DeploymentsSeen,
    DetailsSeen,
    PreflightSeen,
    Progress,
    ReadingsSeen,
    SessionLost,
)
from cluster.bridge.inventory_diff import is_worth_sending
from cluster.bridge.keeper.attach import Attachment, attach
from cluster.bridge.keeper.embedded import canonical_spec, ray_environment
from cluster.bridge.protocol import Target
from cluster.bridge.ray_address import find_ray_address
from cluster.bridge.state.records import LOCAL_KEY
from cluster.bridge.wire import Packer
from cluster.calibration.result import Calibration
from cluster.cluster_spec import parse_cluster_spec
from cluster.deploy.log_page import LogPage
from cluster.deploy.order_check import check_order, check_places
from cluster.deploy.preflight import NodeVerdict, checked_spec
from cluster.deploy.preflight_questions import needs_of
from cluster.deploy.raylet_watch import RayletWatch
from cluster.deploy.spec import DeploymentSpec
from cluster.deploy.status import DeploymentState
from cluster.errors import ClusterGone
from cluster.inventory import Cluster
from cluster.telemetry import NodeReading

_LOOK_S = 1.0
_EAGER_LOOK_S = 0.2
_LEAST_PAUSE_S = 0.1
_TEXTS_S = 15.0
"""How old the figures in the texts of findings may get."""
_SILENT_S = 5.0


class RayPlace:
    """What a child process does on its cluster. Methods block; they run in threads of the child."""

    def __init__(self, target: Target, send: Send) -> None:
        self._target, self._send = target, send
        self._attachment: Attachment | None = None
        self._ray: Any = None
        self._discovery: Discovery | None = None
        self._deployments: Deployments | None = None
        self._raylets: RayletWatch | None = None
        self._packer = Packer(send)
        self._sent_cluster: Cluster | None = None
        self._sent_at_s = 0.0
        self._sent_any_deployment = True
        self._readings: tuple[NodeReading, ...] = ()
        self._looked_at_s = time.monotonic()
        self._look_lock = threading.Lock()

    def enter(self) -> None:
        if self._target.simulate is not None:
            self.enter_embedded(canonical_spec(parse_cluster_spec(self._target.simulate, "simulated")))
        elif self._target.address is None:
            self.enter_embedded(LOCAL_KEY)
        else:
            address = find_ray_address(self._target.address)
            self._send_progress(f"connecting to {address}", None)
            check_answers(address)
            self._enter_ray(str(address), ship_package=True)

    def enter_embedded(self, key: str) -> None:
        """Enter the embedded cluster of `key`, started where there is none."""
        self._attachment = attach(key, self._send_progress, start=self._target.start)
        if self._attachment is None:
            raise ClusterGone(f"no embedded cluster {key} is running")
        record = self._attachment.record
        os.environ.update(ray_environment(record.auth_token, record.temp_dir))
        self._enter_ray(self._attachment.address, ship_package=False)

    def _enter_ray(self, address: str, *, ship_package: bool) -> None:
        self._send_progress("joining the cluster", None)
        self._ray = enter(address, ship_package=ship_package)
        self._discovery = Discovery(self._ray, self._target.engine_pythons, self._target.scene)
        self._deployments = Deployments(self._ray, self._send)
        self._raylets = RayletWatch()
        threading.Thread(target=self._watch_silence, name="silence", daemon=True).start()

    def _send_progress(self, message: str, fraction: float | None) -> None:
        self._send(Progress(message=message, fraction=fraction))

    def watch(self) -> None:
        if self._attachment is not None:
            threading.Thread(target=self._await_keeper, name="keeper", daemon=True).start()
        while True:
            began_s = time.monotonic()
            self.look()
            pause_s = _LOOK_S if self._is_settled() else _EAGER_LOOK_S
            time.sleep(max(_LEAST_PAUSE_S, pause_s - (time.monotonic() - began_s)))

    def _is_settled(self) -> bool:
        """False while nodes are new or a deployment starts: then every fraction of a second has news."""
        assert self._discovery is not None and self._deployments is not None
        moving = (DeploymentState.STARTING, DeploymentState.STOPPING)
        return self._discovery.settled() and not any(
            status.state in moving for status in self._deployments.statuses()
        )

    def look(self) -> Cluster:
        """Poll once, send what changed, and return the inventory."""
        assert self._discovery is not None and self._deployments is not None
        with self._look_lock:
            self._deployments.look()
            statuses = self._deployments.statuses()
            self._discovery.look(self._deployments.loads(), held_by_node(statuses))
            cluster = calibrated(self._discovery.cluster(self._deployments.claims()))
            self._readings = self._with_silent_raylets(self._discovery.readings())
            self._looked_at_s = time.monotonic()
            self._send_changes(cluster)
            return cluster

    def _with_silent_raylets(self, readings: tuple[NodeReading, ...]) -> tuple[NodeReading, ...]:
        """Mark nodes whose raylet does not respond: what runs there keeps running, but nothing can start."""
        assert self._raylets is not None and self._discovery is not None
        self._raylets.take(self._discovery.entries)
        silent = self._raylets.silent()
        return tuple(_with_silent_raylet(reading, silent.get(reading.node_id)) for reading in readings)

    def _send_changes(self, cluster: Cluster) -> None:
        assert self._deployments is not None and self._discovery is not None
        now_s = time.monotonic()
        with_texts = now_s - self._sent_at_s > _TEXTS_S
        if is_worth_sending(self._sent_cluster, cluster, with_texts=with_texts):
            self._sent_cluster, self._sent_at_s = cluster, now_s
            self._packer.send(ClusterSeen(cluster=cluster))
        self._packer.send(ReadingsSeen(nodes=self._readings))
        if details := self._discovery.new_details():
            self._packer.send(DetailsSeen(nodes=details))
        statuses = self._deployments.statuses()
        if statuses or self._sent_any_deployment:
            self._send(DeploymentsSeen(deployments=statuses))
        self._sent_any_deployment = bool(statuses)

    def _watch_silence(self) -> None:
        """Ray's calls block while the head is gone, until Ray ends this process: report that meanwhile."""
        while True:
            time.sleep(_LOOK_S)
            silent_s = time.monotonic() - self._looked_at_s
            if silent_s > _SILENT_S and self._readings:
                reason = f"the cluster's head has not answered for {silent_s:.0f} s"
                update = {"state": "stale", "reason": reason}
                late = tuple(reading.model_copy(update=update) for reading in self._readings)
                self._packer.send(ReadingsSeen(nodes=late))

    def _await_keeper(self) -> None:
        assert self._attachment is not None
        self._attachment.wait_lost()
        key = self._attachment.record.key
        self._send(SessionLost(reason=f"the embedded cluster {key} has ended", type="SystemFailed"))
        os._exit(0)

    def deploy(self, spec: DeploymentSpec) -> None:
        assert self._deployments is not None
        # First: processes start while the order is checked, and those of a refused one end by themselves.
        start_workers(self._ray, workers_of(spec, self._deployments.router_node()[0]))
        # The plan may be minutes old: what counts is what is free at this moment.
        check_order(spec, self.look(), self._deployments.statuses())
        self._deployments.deploy(checked_spec(spec, self._preflight(spec)))
        self.look()

    def check(self, spec: DeploymentSpec) -> None:
        """Check an order as `deploy` does, send the preflight results, and start nothing."""
        assert self._deployments is not None
        check_order(spec, self.look(), self._deployments.statuses())
        self._preflight(spec)

    def _preflight(self, spec: DeploymentSpec) -> tuple[NodeVerdict, ...]:
        assert self._deployments is not None
        verdicts = ask_nodes(self._ray, needs_of(spec, self._deployments.router_node()))
        self._send(PreflightSeen(name=spec.name, nodes=verdicts))
        return verdicts

    def stop(self, name: str, drain_s: float) -> None:
        assert self._deployments is not None
        self._deployments.stop(name, drain_s)
        self.look()

    def scale(self, spec: DeploymentSpec, drain_s: float) -> None:
        """Check the GPUs and nodes of new replicas as `deploy` does, then change the number of replicas."""
        assert self._deployments is not None
        controller = self._deployments.controller(spec.name)
        added = added_ranks(spec, read_order(spec.name, controller))
        if added is not None:
            check_places(added.ranks, self.look())
            checked_spec(added, self._preflight(added))
        scale(self._ray, spec, controller, drain_s)
        self.look()

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> None:
        assert self._deployments is not None
        self._deployments.prompt(name, prompt_id, text, max_tokens)

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> LogPage:
        assert self._deployments is not None
        return read_log(name, self._deployments.controller(name), replica, member, first, most)

    def calibrate(self, title: str) -> Calibration:
        """Measure the GPUs that are free now."""
        return calibrate(self._ray, self.look(), title, lambda text: self._send_progress(text, None))

    def describe(self, name: str) -> DeploymentSpec:
        assert self._deployments is not None
        return read_order(name, self._deployments.controller(name))

    def dismiss(self, node_id: str) -> None:
        """Take a dead node out of the inventory."""
        assert self._discovery is not None
        with self._look_lock:
            self._discovery.dismiss(node_id)
        self.look()

    def leave(self) -> None:
        if self._ray is not None:
            leave(self._ray)
        if self._attachment is not None:
            self._attachment.connection.close()


def _with_silent_raylet(reading: NodeReading, silent_s: float | None) -> NodeReading:
    if silent_s is None or reading.state == "lost":
        return reading
    reason = f"its raylet has not answered for {silent_s:.0f} s: nothing can be started there"
    return reading.model_copy(update={"state": "stale", "reason": reason})

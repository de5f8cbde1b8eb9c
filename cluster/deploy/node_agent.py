"""The actor that runs one node's part of a replica's engine server: it starts, watches and ends the server.

One per replica and node, in a claimed bundle there. Its interface is that of `RankActor`, so that the
controller treats both alike; `report` says where the server is between its first line and its first token.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from dataclasses import replace

from cluster.deploy.assigned_gpus import assigned_gpu_indices
from cluster.deploy.log_page import LogPage
from cluster.deploy.meeting import Meeting, open_meeting
from cluster.deploy.network import interface_of
from cluster.deploy.permanent import describe_with_node, is_permanent
from cluster.deploy.rank_report import RankReport, RankStep
from cluster.deploy.server.running import RunningServer
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.engines.adapter import load_adapter
from cluster.engines.launch import Member
from cluster.engines.members import members_of
from cluster.errors import BadInput, DeployFailed

_LOOK_S = 0.2
_FAILED_LINES = 200
"""Last lines that a report brings of a server that has failed: its traceback, and what led to it."""


class NodeAgent:
    """One member of one replica's server. All methods return at once, except `prove`."""

    def __init__(self) -> None:
        import ray

        self._gpu_indices = assigned_gpu_indices()
        self._address = ray.util.get_node_ip_address()
        self._node_id = ray.get_runtime_context().get_node_id()
        self._step, self._since_s, self._reason = RankStep.STARTING, time.monotonic(), ""
        self._permanent = False
        self._lock = threading.Lock()
        self._meeting: Meeting | None = None
        self._may_start, self._stopping = threading.Event(), threading.Event()
        self._has_loaded = threading.Event()
        self._server: RunningServer | None = None
        self._places: tuple[RankPlace, ...] = ()

    def where(self) -> tuple[str, list[int]]:
        """Return the node and the GPU indices that Ray gave this process."""
        return self._node_id, self._gpu_indices

    def become(self, spec: DeploymentSpec, places: tuple[RankPlace, ...]) -> None:
        """Start as the member of a replica that covers `places`."""
        self._places = places
        threading.Thread(target=self._live, args=(spec,), name="server", daemon=True).start()

    def open_meeting(self) -> Meeting:
        """On the leader: choose ports and a key."""
        return open_meeting(self._address)

    def meet(self, meeting: Meeting) -> None:
        """Start the server; its members find each other at `meeting`."""
        self._meeting = meeting
        self._may_start.set()

    def warm_up(self) -> None:
        """Continue: the leader's server listens, so all members have loaded."""
        self._has_loaded.set()

    def report(self) -> RankReport:
        """Return the server's state, figures and, once it failed, its last lines."""
        with self._lock:
            step, reason, age_s = self._step, self._reason, time.monotonic() - self._since_s
        server = self._server
        if server is None:
            return RankReport(step, age_s, reason, permanent=self._permanent)
        report = RankReport(step, age_s, reason, permanent=self._permanent, facts=server.startup.facts)
        if step is RankStep.FAILED:
            first, lines = server.log.page(-_FAILED_LINES, _FAILED_LINES)
            return replace(report, log_tail=lines, log_first=first)
        return replace(
            report,
            progress=None if step is RankStep.RUNNING else server.startup.progress,
            figures=server.figures(),
            endpoint=server.endpoint if step is RankStep.RUNNING else None,
            deadline_s=server.deadline_s(step, age_s),
        )

    def prove(self, deadline_s: float) -> None:
        """On the leader: have the server generate one token, or raise DeployFailed."""
        if self._server is None:
            raise DeployFailed("its server has not started")
        self._server.prove(deadline_s)

    def log(self, first: int, most: int) -> LogPage:
        """Return lines of the server's output; a negative `first` counts from the end."""
        server, place = self._server, self._places[0]
        start, lines = (0, ()) if server is None else server.log.page(first, most)
        note = "" if lines or start else "the server has written nothing yet"
        return LogPage(replica=place.replica, node_name=place.node_name, first=start, lines=lines, note=note)

    def stop(self) -> None:
        """End the server in order."""
        self._stopping.set()
        self._may_start.set()

    def _live(self, spec: DeploymentSpec) -> None:
        try:
            others = {place.node_id for place in spec.ranks if place.replica == self._places[0].replica}
            self._go_to(RankStep.STARTED, "waiting for the other nodes" if len(others) > 1 else "starting")
            self._may_start.wait()
            if not self._stopping.is_set():
                self._server = server = self._make_server(spec)
                server.start(self._stopping.is_set)
                while not self._stopping.wait(_LOOK_S):
                    self._go_to(*server.look(has_loaded=self._has_loaded.is_set()))
            if self._server is not None:
                self._server.end()
            self._go_to(RankStep.STOPPED)
        except BaseException as error:
            self._permanent = is_permanent(error)
            self._go_to(RankStep.FAILED, describe_with_node(error, self._places[0].node_name))
            if self._server is not None:
                self._server.end()

    def _make_server(self, spec: DeploymentSpec) -> RunningServer:
        assert spec.server is not None and self._meeting is not None
        member, members = self._member(spec, self._meeting)
        adapter = load_adapter(spec.engine.name)
        asked_python = spec.server.python or sys.executable
        python = shutil.which(asked_python)
        if python is None:
            raise BadInput(
                f"{asked_python} is not on node {self._places[0].node_name}, or may not be run",
                "Name a Python that has the engine on every node with --engine-python",
            )
        if refusal := adapter.refusal(spec.server.launch, members, spec.engine.version):
            raise BadInput(refusal)
        command = adapter.command(spec.server.launch, member, spec.engine.version, python)
        mark = f"{self._node_id}/{spec.name}/{self._places[0].replica}"
        return RunningServer(spec, adapter, member, command, mark)

    def _member(self, spec: DeploymentSpec, meeting: Meeting) -> tuple[Member, tuple[Member, ...]]:
        assert spec.server is not None
        mine = self._places[0]
        ranks = sorted(
            (place for place in spec.ranks if place.replica == mine.replica),
            key=lambda place: (place.stage, place.rank),
        )
        members = members_of([place.placement for place in ranks], spec.server.launch)
        nodes = list(dict.fromkeys(place.node_id for place in ranks))
        member = members[nodes.index(mine.node_id)]
        update = {
            "address": self._address,
            "interface": interface_of(self._address),
            "http_port": meeting.http_port,
            "master_address": meeting.master_address,
            "master_port": meeting.master_port,
            "api_key": meeting.api_key,
        }
        return member.model_copy(update=update), members

    def _go_to(self, step: RankStep, reason: str = "") -> None:
        with self._lock:
            if step is not self._step:
                self._step, self._since_s = step, time.monotonic()
            self._reason = reason

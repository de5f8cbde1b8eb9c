"""One replica's processes as seen by their controller: checked without blocking, and acted upon."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from cluster.deploy.actor_kind import actor_kind
from cluster.deploy.claims import Slot, release_slot
from cluster.deploy.held_process import NOT_STARTED, HeldProcess, processes_of
from cluster.deploy.lifecycle import STEADY_S, Action, Decision, GroupView, pause_s
from cluster.deploy.log_page import LogPage
from cluster.deploy.meeting import Meeting
from cluster.deploy.rank_report import REPORTS, RankReport, RankStep
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.stuck import SAID_S
from cluster.errors import BadInput

PROOF_S = 60.0
SERVER_PROOF_S = 300.0
"""The first request of an engine's server may still compile kernels."""
LOG_LINES = 20
"""Lines of a failed server that a status shows."""
_LOG_S = 5.0
_AGENT_SAYS_S = 5.0
_NO_LOG = "the built-in engine runs inside its ranks and writes no log of its own"
_ENDED = "its server has ended; these are its last lines"
_NOT_STARTED = "its server has not started yet"


class ReplicaGroup:
    """The gang of one replica: it starts, fails and starts again as one."""

    def __init__(self, ray: Any, spec: DeploymentSpec, replica: int) -> None:
        self._kind = actor_kind(spec)
        self.replica = replica
        self.processes = processes_of(ray, spec, replica, self._kind.title)
        self.restarts, self.starts = 0, 0
        self.given_up: str | None = None
        self.last_trouble, self.last_trouble_at_s = "", 0.0
        self.last_log: tuple[str, ...] = ()
        """The last lines of the engine's server that failed last."""
        self.proven = False
        self.api_key: str | None = None
        """Key of the leader's server at this start; None for the built-in engine."""
        self.draining = False
        """It takes no new requests, and ends."""
        self.joining = False
        """It is being added to a deployment that serves, and has not been proven yet."""
        self._ray, self._spec = ray, spec
        self._running = False
        self._meeting: Any = None
        self._proof: Any = None
        self._failed_proof: tuple[str, float] | None = None
        """Why the group was not proven, and since when."""
        self._told_to_meet = self._told_to_warm_up = False
        self._start_after_s = 0.0
        self._proven_at_s = 0.0
        for process in self.processes:
            process.hear(NOT_STARTED)

    @property
    def lead(self) -> HeldProcess:
        """The process that takes requests."""
        return self.processes[0]

    @property
    def leader(self) -> Any:
        """The actor that takes requests, None while there is none."""
        return self.lead.actor if self._running else None

    @property
    def endpoint(self) -> str | None:
        """Base URL of the leader's server; None while it does not listen, and for the built-in engine."""
        return self.lead.report.endpoint if self._running else None

    @property
    def places(self) -> list[RankPlace]:
        """The GPUs of its ranks."""
        return [place for process in self.processes for place in process.places]

    @property
    def has_gpus(self) -> bool:
        """Whether all its GPUs are claimed."""
        return all(process.slots for process in self.processes)

    @property
    def is_meeting(self) -> bool:
        """Whether its processes run and do not know yet where they meet: a matter of milliseconds."""
        return self._running and (not self._told_to_meet or self._meeting is not None)

    def take(self, node_id: str, slots: Mapping[int, Slot]) -> None:
        """Take over claimed slots of a node, by GPU index."""
        for process in self.processes:
            if process.node_id == node_id:
                process.take(self._ray, slots)

    def release(self, reason: str) -> None:
        """Kill every process and free the GPUs, for good."""
        self.end(reason)
        for slot in (slot for process in self.processes for slot in process.slots):
            release_slot(self._ray, slot)

    def silence(self) -> str:
        """Return which process of a serving group does not answer now; empty if all do."""
        for process in self.processes if self.proven else ():
            if (silent_s := process.silent_s()) > SAID_S:
                return f"{process.name} has not answered for {silent_s:.0f} s"
        return ""

    def look(self) -> GroupView:
        """Process the answers that came, and return the current group."""
        if self._running:
            for process in self.processes:
                self._hear(process)
            self._await_meeting()
            self._await_proof()
            self._follow_failed_proof()
        if self.proven and self.restarts and time.monotonic() - self._proven_at_s > STEADY_S:
            self.restarts = 0
        return self.view()

    def view(self) -> GroupView:
        """Return the group as last looked at."""
        return GroupView(
            replica=self.replica,
            ranks=tuple(process.now() for process in self.processes) if self._running else (),
            names=tuple(process.name for process in self.processes) if self._running else (),
            leader_speaks=self._spec.server is not None,
            proven=self.proven,
            proving=self._proof is not None or self._failed_proof is not None,
            told_to_meet=self._told_to_meet,
            told_to_warm_up=self._told_to_warm_up,
            restarts=self.restarts,
            paused_s=max(0.0, self._start_after_s - time.monotonic()),
            given_up=self.given_up,
        )

    def act(self, decision: Decision) -> None:
        """Carry out a decision without waiting for the result."""
        if decision.action is Action.START:
            self._start()
        elif decision.action is Action.MEET:
            self._told_to_meet = True
            self._meeting = self.leader.open_meeting.remote()
        elif decision.action is Action.WARM_UP:
            self._told_to_warm_up = True
            self._tell_all("warm_up")
        elif decision.action is Action.PROVE:
            self._proof = self.leader.prove.remote(PROOF_S if self._spec.server is None else SERVER_PROOF_S)
        elif decision.action is Action.RESTART:
            self.end(decision.reason)
            self.restarts += 1
            self._start_after_s = time.monotonic() + pause_s(self.restarts)
        elif decision.action is Action.GIVE_UP:
            self.end(decision.reason)
            self.given_up = decision.reason

    def end(self, reason: str) -> None:
        """Kill every process; the GPUs stay claimed."""
        self._running = self.proven = False
        self._meeting = self._proof = self._failed_proof = self.api_key = None
        self._note(reason)
        for process in self.processes:
            if process.actor is not None:
                self._ray.kill(process.actor, no_restart=True)
                process.slots[0].actor = None
            process.asked = None
            if process.report.step is not RankStep.FAILED:
                process.hear(RankReport(RankStep.STOPPED, reason=reason))

    def note_lost_nodes(self, living: Collection[str]) -> None:
        """Fail for good when a process's node is gone: its GPUs exist nowhere else."""
        for process in self.processes:
            if process.node_id not in living and self._running:
                reason = f"its node {process.places[0].node_name} left the cluster"
                process.hear(RankReport(RankStep.FAILED, reason=reason, permanent=True))

    def ask_to_stop(self) -> None:
        """Tell the group to end in order: the built-in engine's leader, or every server."""
        if self.leader is not None:
            told = self.processes if self._spec.server is not None else [self.lead]
            for process in told:
                process.actor.stop.remote()

    def log(self, member: int, first: int, most: int) -> LogPage:
        """Return lines of a member's server. Waits for its agent, but not long."""
        if not 0 <= member < len(self.processes):
            raise BadInput(f"replica {self.replica} has no node {member}", f"It has {len(self.processes)}")
        process = self.processes[member]
        page = LogPage(
            replica=self.replica, member=member, node_name=process.places[0].node_name, start=self.starts
        )
        if self._spec.server is None:
            return page.model_copy(update={"note": _NO_LOG})
        if not self._running:
            start, lines = process.last_page(first, most)
            note = _ENDED if self.starts else _NOT_STARTED
            return page.model_copy(update={"first": start, "lines": lines, "note": note})
        answer = self._ray.get(process.actor.log.remote(first, most), timeout=_LOG_S)
        return page.model_copy(update={"first": answer.first, "lines": answer.lines, "note": answer.note})

    def _start(self) -> None:
        self.starts += 1
        self._told_to_meet = self._told_to_warm_up = False
        self._running = True
        for process in self.processes:
            slot = process.slots[0]
            if slot.actor is None:
                slot.actor = self._kind.make(self._ray, slot.group)
            process.watch.forget()
            slot.actor.become.remote(self._spec, process.places)
            process.asked = None
            process.hear(RankReport(RankStep.STARTING, reason="its process is starting"))

    def _tell_all(self, method: str, *arguments: Any) -> None:
        for process in self.processes:
            getattr(process.actor, method).remote(*arguments)

    def _hear(self, process: HeldProcess) -> None:
        if process.asked is not None and self._is_ready(process.asked):
            try:
                process.hear(self._ray.get(process.asked))
            except Exception as error:
                process.hear(RankReport(RankStep.FAILED, reason=process_ended(error)))
            process.asked = None
            if process.report.log_tail:
                self.last_log = process.report.log_tail[-LOG_LINES:]
        self._look_at_silence(process)
        if process.asked is None and process.report.step is not RankStep.FAILED:
            # Answered beside everything else: many proofs of health at once must not look like silence.
            report = process.actor.report.options(concurrency_group=REPORTS)
            process.asked, process.asked_at_s = report.remote(), time.monotonic()

    def _look_at_silence(self, process: HeldProcess) -> None:
        before = process.watch.suspicion.num_troubles
        reason = process.look_at_silence()
        if process.watch.suspicion.num_troubles != before:
            self._note(f"{process.name}: its process {process.watch.suspicion.trouble}")
        if reason is not None:
            process.hear(RankReport(RankStep.FAILED, reason=f"its process {reason}"))

    def _note(self, trouble: str) -> None:
        self.last_trouble, self.last_trouble_at_s = trouble, time.monotonic()

    def _await_meeting(self) -> None:
        if self._meeting is None or not self._is_ready(self._meeting):
            return
        pending, self._meeting = self._meeting, None
        try:
            meeting = self._ray.get(pending)
        except Exception as error:
            self._fail(f"cannot open the rendezvous: {process_ended(error)}")
            return
        self.api_key = meeting.api_key if isinstance(meeting, Meeting) else None
        self._tell_all("meet", meeting)

    def _await_proof(self) -> None:
        if self._proof is None or not self._is_ready(self._proof):
            return
        proof, self._proof = self._proof, None
        try:
            self._ray.get(proof)
        except Exception as error:
            self._failed_proof = (process_ended(error), time.monotonic())
            return
        self.proven, self._proven_at_s = True, time.monotonic()

    def _follow_failed_proof(self) -> None:
        """Give up a group without a token. A server's agent says so itself, with the server's last lines."""
        if self._failed_proof is not None:
            reason, since_s = self._failed_proof
            if self._spec.server is None or time.monotonic() - since_s > _AGENT_SAYS_S:
                self._fail(reason)

    def _fail(self, reason: str) -> None:
        self.lead.hear(RankReport(RankStep.FAILED, reason=reason))

    def _is_ready(self, ref: Any) -> bool:
        ready, _ = self._ray.wait([ref], timeout=0)
        return bool(ready)


def process_ended(error: Exception) -> str:
    """Return in one line why a call to a rank's process failed."""
    cause = getattr(error, "cause", None) or error
    message = getattr(cause, "message", None)
    if isinstance(message, str) and message:
        return message
    if type(error).__name__ in ("ActorDiedError", "ActorUnavailableError", "RayActorError"):
        return "its process died"
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

"""One replica's rank processes as seen by their controller: checked without blocking, and acted upon."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from cluster.deploy.claims import RANK_TITLE, Slot
from cluster.deploy.lifecycle import STEADY_S, Action, Decision, GroupView, pause_s
from cluster.deploy.rank_report import REPORTS, RankReport, RankStep
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.stuck import SAID_S, StuckWatch, Suspicion

PROOF_S = 60.0
NOT_STARTED = RankReport(RankStep.PLACING, reason="claiming its GPU")
RUNNING_HUNG_S = 30.0
BUSY_HUNG_S = 60.0
"""Seconds of silence after which a rank is given up though its process runs; loading may hold it up."""


@dataclass
class HeldRank:
    """One rank: where it belongs, what runs there, and what was last heard of it."""

    place: RankPlace
    watch: StuckWatch
    slot: Slot | None = None
    asked: Any = None
    asked_at_s: float = 0.0
    report: RankReport = NOT_STARTED
    heard_at_s: float = 0.0

    def now(self) -> RankReport:
        """Return the last report with its current age, and with the rank's silence, if any."""
        report, silent_s = self.report, self.silent_s()
        age_s = report.age_s + time.monotonic() - self.heard_at_s
        if silent_s > SAID_S and report.step not in (RankStep.STARTING, RankStep.FAILED):
            return replace(report, age_s=age_s, reason=f"its process has not answered for {silent_s:.0f} s")
        return replace(report, age_s=age_s)

    def hear(self, report: RankReport) -> None:
        self.report, self.heard_at_s = report, time.monotonic()

    def silent_s(self) -> float:
        """Return for how long an answer is overdue; 0 if none is."""
        return time.monotonic() - self.asked_at_s if self.asked is not None else 0.0

    def look_at_silence(self) -> str | None:
        """Follow up a silence; returns why the process must be replaced, or None."""
        step, suspicion = self.report.step, self.watch.suspicion
        # A process that starts has a deadline of its own, and says nothing before it is up.
        hung_s = None if step is RankStep.STARTING else BUSY_HUNG_S
        suspicion.hung_s = RUNNING_HUNG_S if step is RankStep.RUNNING else hung_s
        return self.watch.look(self.slot.actor, self.silent_s()) if self.slot is not None else None


class ReplicaGroup:
    """The gang of one replica: it starts, fails and starts again as one."""

    def __init__(
        self, ray: Any, spec: DeploymentSpec, replica: int, make_actor: Callable[[Any], Any]
    ) -> None:
        places = [place for place in spec.ranks if place.replica == replica]
        places.sort(key=lambda place: (place.stage, place.rank))
        self.replica = replica
        self.ranks = [
            HeldRank(place, StuckWatch(ray, RANK_TITLE, Suspicion(hung_s=None))) for place in places
        ]
        self.restarts, self.starts = 0, 0
        self.given_up: str | None = None
        self.last_trouble, self.last_trouble_at_s = "", 0.0
        self.proven = False
        self._ray, self._spec, self._make_actor = ray, spec, make_actor
        self._running = False
        self._meeting: Any = None
        self._proof: Any = None
        self._told_to_meet = self._told_to_warm_up = False
        self._start_after_s = 0.0
        self._proven_at_s = 0.0
        for rank in self.ranks:
            rank.hear(NOT_STARTED)

    @property
    def leader(self) -> Any:
        """The actor that takes requests, None while there is none."""
        slot = self.ranks[0].slot
        return slot.actor if slot is not None and self._running else None

    def silence(self) -> str:
        """Return which rank of a serving group does not answer now; empty if all do."""
        for number, rank in enumerate(self.ranks if self.proven else ()):
            if (silent_s := rank.silent_s()) > SAID_S:
                return f"rank {number} has not answered for {silent_s:.0f} s"
        return ""

    def look(self) -> GroupView:
        """Process the ranks' answers and return the current group."""
        if self._running:
            for rank in self.ranks:
                self._hear(rank)
            self._await_meeting()
            self._await_proof()
        if self.proven and self.restarts and time.monotonic() - self._proven_at_s > STEADY_S:
            self.restarts = 0
        return self.view()

    def view(self) -> GroupView:
        """Return the group as last looked at."""
        return GroupView(
            ranks=tuple(rank.now() for rank in self.ranks) if self._running else (),
            proven=self.proven,
            proving=self._proof is not None,
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
            self._proof = self.leader.prove.remote(PROOF_S)
        elif decision.action is Action.RESTART:
            self.end(decision.reason)
            self.restarts += 1
            self._start_after_s = time.monotonic() + pause_s(self.restarts)
        elif decision.action is Action.GIVE_UP:
            self.end(decision.reason)
            self.given_up = decision.reason

    def end(self, reason: str) -> None:
        """Kill every rank's process; the GPUs stay claimed."""
        self._running = self.proven = False
        self._meeting = self._proof = None
        self._note(reason)
        for rank in self.ranks:
            if rank.slot is not None and rank.slot.actor is not None:
                self._ray.kill(rank.slot.actor, no_restart=True)
                rank.slot.actor = None
            rank.asked = None
            if rank.report.step is not RankStep.FAILED:
                rank.hear(RankReport(RankStep.STOPPED, reason=reason))

    def note_lost_nodes(self, living: Collection[str]) -> None:
        """Fail for good when a rank's node is gone: its GPU exists nowhere else."""
        for rank in self.ranks:
            if rank.place.node_id not in living and self._running:
                reason = f"its node {rank.place.node_name} left the cluster"
                rank.hear(RankReport(RankStep.FAILED, reason=reason, permanent=True))

    def ask_to_stop(self) -> None:
        """Tell the leader to end the group in order."""
        if self.leader is not None:
            self.leader.stop.remote()

    def _start(self) -> None:
        self.starts += 1
        self._told_to_meet = self._told_to_warm_up = False
        self._running = True
        for rank in self.ranks:
            assert rank.slot is not None
            if rank.slot.actor is None:
                rank.slot.actor = self._make_actor(rank.slot.group)
            rank.watch.forget()
            rank.slot.actor.become.remote(self._spec, rank.place)
            rank.asked = None
            rank.hear(RankReport(RankStep.STARTING, reason="its process is starting"))

    def _tell_all(self, method: str, *arguments: Any) -> None:
        for rank in self.ranks:
            assert rank.slot is not None
            getattr(rank.slot.actor, method).remote(*arguments)

    def _hear(self, rank: HeldRank) -> None:
        assert rank.slot is not None
        if rank.asked is not None and self._is_ready(rank.asked):
            try:
                rank.hear(self._ray.get(rank.asked))
            except Exception as error:
                rank.hear(RankReport(RankStep.FAILED, reason=process_ended(error)))
            rank.asked = None
        self._look_at_silence(rank)
        if rank.asked is None and rank.report.step is not RankStep.FAILED:
            # Answered beside everything else: many proofs of health at once must not look like silence.
            report = rank.slot.actor.report.options(concurrency_group=REPORTS)
            rank.asked, rank.asked_at_s = report.remote(), time.monotonic()

    def _look_at_silence(self, rank: HeldRank) -> None:
        before = rank.watch.suspicion.num_troubles
        reason = rank.look_at_silence()
        if rank.watch.suspicion.num_troubles != before:
            self._note(f"rank {self.ranks.index(rank)}: its process {rank.watch.suspicion.trouble}")
        if reason is not None:
            rank.hear(RankReport(RankStep.FAILED, reason=f"its process {reason}"))

    def _note(self, trouble: str) -> None:
        self.last_trouble, self.last_trouble_at_s = trouble, time.monotonic()

    def _await_meeting(self) -> None:
        if self._meeting is None or not self._is_ready(self._meeting):
            return
        meeting, self._meeting = self._meeting, None
        try:
            self._tell_all("meet", self._ray.get(meeting))
        except Exception as error:
            self._fail(f"cannot open the rendezvous: {process_ended(error)}")

    def _await_proof(self) -> None:
        if self._proof is None or not self._is_ready(self._proof):
            return
        proof, self._proof = self._proof, None
        try:
            self._ray.get(proof)
        except Exception as error:
            self._fail(process_ended(error))
            return
        self.proven, self._proven_at_s = True, time.monotonic()

    def _fail(self, reason: str) -> None:
        self.ranks[0].hear(RankReport(RankStep.FAILED, reason=reason))

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

"""One process of a replica as its controller holds it: the GPUs it covers, its actor, what was last heard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cluster.deploy.claims import Slot
from cluster.deploy.rank_report import RankReport, RankStep
from cluster.deploy.spec import DeploymentSpec, RankPlace
from cluster.deploy.stuck import SAID_S, StuckWatch, Suspicion

NOT_STARTED = RankReport(RankStep.PLACING, reason="claiming its GPU")
RUNNING_HUNG_S = 30.0
BUSY_HUNG_S = 60.0
"""Seconds of silence after which a process is given up though it runs; loading may hold it up."""


@dataclass
class HeldProcess:
    """A rank of the built-in engine (one place), or the agent of a server (all places of a node)."""

    name: str
    """For messages: 'rank 3', 'server on gpu-a'."""
    places: tuple[RankPlace, ...]
    """In rank order, all on one node."""
    watch: StuckWatch
    slots: tuple[Slot, ...] = ()
    """One per place; the process runs in the first."""
    asked: Any = None
    asked_at_s: float = 0.0
    report: RankReport = NOT_STARTED
    heard_at_s: float = 0.0
    last_log: tuple[str, ...] = ()
    """The last lines of its server that failed last."""
    last_log_first: int = 0
    """Number of the first of these lines, counted from that server's start."""

    @property
    def node_id(self) -> str:
        return self.places[0].node_id

    @property
    def actor(self) -> Any:
        """The actor of this process; None before it is started and after it was ended."""
        return self.slots[0].actor if self.slots else None

    def take(self, ray: Any, by_gpu_index: Mapping[int, Slot]) -> None:
        """Take over the claimed slots of its GPUs; only the first one keeps its actor."""
        self.slots = tuple(by_gpu_index[place.gpu_index] for place in self.places)
        for spare in self.slots[1:]:
            ray.kill(spare.actor, no_restart=True)
            spare.actor = None

    def now(self) -> RankReport:
        """Return the last report with its current age, and with the process's silence, if any."""
        report, silent_s = self.report, self.silent_s()
        age_s = report.age_s + time.monotonic() - self.heard_at_s
        if silent_s > SAID_S and report.step not in (RankStep.STARTING, RankStep.FAILED):
            return replace(report, age_s=age_s, reason=f"its process has not answered for {silent_s:.0f} s")
        return replace(report, age_s=age_s)

    def hear(self, report: RankReport) -> None:
        self.report, self.heard_at_s = report, time.monotonic()
        if report.log_tail:
            self.last_log, self.last_log_first = report.log_tail, report.log_first

    def last_page(self, first: int, most: int) -> tuple[int, tuple[str, ...]]:
        """Return number and text of the lines kept of the server that failed, as `ServerLog.page` does."""
        lines, kept_first = self.last_log, self.last_log_first
        start = max(0, first - kept_first if first >= 0 else len(lines) + first)
        return kept_first + start, lines[start:][: max(0, most)]

    def silent_s(self) -> float:
        """Return for how long an answer is overdue; 0 if none is."""
        return time.monotonic() - self.asked_at_s if self.asked is not None else 0.0

    def look_at_silence(self) -> str | None:
        """Follow up a silence; returns why the process must be replaced, or None."""
        step, suspicion = self.report.step, self.watch.suspicion
        # A process that starts has a deadline of its own, and says nothing before it is up.
        hung_s = None if step is RankStep.STARTING else BUSY_HUNG_S
        suspicion.hung_s = RUNNING_HUNG_S if step is RankStep.RUNNING else hung_s
        return self.watch.look(self.actor, self.silent_s()) if self.slots else None


def processes_of(ray: Any, spec: DeploymentSpec, replica: int, title: str) -> list[HeldProcess]:
    """Return the processes of a replica, in rank order; `title` is how their command lines start."""
    places = [place for place in spec.ranks if place.replica == replica]
    places.sort(key=lambda place: (place.stage, place.rank))
    parts: list[tuple[str, tuple[RankPlace, ...]]]
    if spec.server is None:
        parts = [(f"rank {number}", (place,)) for number, place in enumerate(places)]
    else:
        by_node: dict[str, tuple[RankPlace, ...]] = {}
        for place in places:
            by_node[place.node_id] = (*by_node.get(place.node_id, ()), place)
        parts = [(f"server on {part[0].node_name}", part) for part in by_node.values()]
    return [HeldProcess(name, part, StuckWatch(ray, title, Suspicion(hung_s=None))) for name, part in parts]

"""An actor that does not answer: looked at on its own node, continued if it was stopped, else replaced.

A slow answer is no fault: importing torch or a busy machine can hold a healthy process up for seconds. What
the kernel says of the process is certain, so a task on its node is asked. One that a signal has stopped is
continued, which loses nothing; one that is stopped again, or silent for too long, is ended.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from typing import Any

from cluster.deploy.process_state import ProcessState, end_process, examine

SAID_S = 3.0
"""Seconds of silence from which a status says so."""

SUSPECT_S = 5.0
"""Seconds of silence after which the process is looked at."""

_AGAIN_S = 1.5
_RELAPSE_S = 60.0
_EXAMINED_S = 10.0


@dataclass
class Suspicion:
    """What was found out about a silent process: when it was continued last, and whether it must go. Pure."""

    hung_s: float | None
    """Seconds of silence after which a process that runs is given up; None: never for that alone."""
    suspect_s: float = SUSPECT_S
    continued_at_s: float | None = None
    trouble: str = ""
    """What was last wrong, for a status to show; empty when nothing ever was."""
    num_troubles: int = 0

    def may_continue(self, now_s: float) -> bool:
        """False shortly after it was continued: whatever stops it does so again."""
        return self.continued_at_s is None or now_s - self.continued_at_s > _RELAPSE_S

    def verdict(self, found: ProcessState | None, silent_s: float, now_s: float) -> str | None:
        """Take in what was found (None: nothing yet); return why the process must be replaced, or None."""
        if found is ProcessState.CONTINUED:
            self.continued_at_s = now_s
            self._note("was stopped by a signal, and continued")
        elif found is ProcessState.STOPPED and silent_s >= self.suspect_s:
            again = "" if self.continued_at_s is None else " again"
            return self._note(f"was stopped by a signal{again}")
        elif self.hung_s is not None and silent_s > self.hung_s:
            return self._note(f"has not answered for {silent_s:.0f} s")
        return None

    def _note(self, trouble: str) -> str:
        self.trouble, self.num_troubles = trouble, self.num_troubles + 1
        return trouble


@dataclass
class StuckWatch:
    """Follows one actor at a time. Never waits: tasks on the actor's node are asked now and heard later."""

    ray: Any
    title: str
    """How the process's command line starts: 'ray::' and the class of the actor."""
    suspicion: Suspicion
    _pending: Any = None
    _asked_at_s: float = 0.0
    _ending: list[Any] = field(default_factory=list)

    def look(self, actor: Any, silent_s: float) -> str | None:
        """Follow up a silence; returns why the actor's process must be replaced, and ends it, or None."""
        now_s = time.monotonic()
        # Heard even when the process answers again: it may do so only because it was continued.
        reason = self.suspicion.verdict(self._hear(now_s), silent_s, now_s)
        if reason is not None:
            self.end(actor)
        elif silent_s < self.suspicion.suspect_s:
            return None
        elif self._pending is None and now_s - self._asked_at_s > _AGAIN_S:
            place, self._asked_at_s = whereabouts(actor), now_s
            if place is not None:
                may_continue = self.suspicion.may_continue(now_s)
                self._pending = self._run_at(place, examine, may_continue=may_continue)
        return reason

    def forget(self) -> None:
        """Start over with another process; the last problem is kept."""
        self._pending, self.suspicion.continued_at_s = None, None

    def end(self, actor: Any) -> None:
        """Kill the actor's process where it is; Ray alone takes 5 s for one that is stopped."""
        self.end_at(whereabouts(actor))

    def end_at(self, place: tuple[str, int] | None) -> None:
        """Kill the process at (node id, pid), None: nothing."""
        self._pending = None
        if place is not None:
            self._ending = [self._run_at(place, end_process)]

    def _hear(self, now_s: float) -> ProcessState | None:
        if self._pending is None:
            return None
        ready, _ = self.ray.wait([self._pending], timeout=0)
        if not ready:
            if now_s - self._asked_at_s > _EXAMINED_S:
                self._pending = None
            return None
        pending, self._pending = self._pending, None
        try:
            return ProcessState(self.ray.get(pending))
        except Exception:  # its node cannot run a task: then silence alone counts
            return None

    def _run_at(self, place: tuple[str, int], function: Any, **options: Any) -> Any:
        """Run a function of the process on its node, as a task."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node_id, pid = place
        strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task = _as_task(self.ray, function).options(
            num_cpus=0, num_gpus=0, max_retries=0, scheduling_strategy=strategy
        )
        return task.remote(pid, self.title, **options)


@functools.cache
def _as_task(ray: Any, function: Any) -> Any:
    """Made once: Ray keeps every remote function for as long as its job lasts."""
    return ray.remote(function)


def whereabouts(actor: Any) -> tuple[str, int] | None:
    """Return (node id, pid) of an actor's living process as Ray's head knows it; None before it has one."""
    from ray._private.state import state

    entry = state.actor_table(actor._actor_id.hex())
    pid, state_name = int(entry.get("Pid") or 0), entry.get("State")
    node_id = str((entry.get("Address") or {}).get("NodeID") or "")
    return (node_id, pid) if pid and node_id and state_name == "ALIVE" else None

"""Watches the processes of an embedded cluster: one stopped by a signal is continued, or ended.

Ray's own processes and the keeper's guard are handled after seconds. Actors are watched by others first
(controller and router watch each other and the ranks), and are handled here only if those fail.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cluster.deploy.process_state import ProcessState, end_process, examine, state_of
from cluster.deploy.raylet_watch import speaks_grpc
from cluster.process_table import descendants

_LOOK_S = 1.0
_STOPPED_S = 2.0
_ACTOR_STOPPED_S = 15.0
_RELAPSE_S = 60.0
_MOST_CONTINUED = 2
_HEAD_SILENT_S = 30.0
_HEAD_ASKED_EACH_S = 3.0
_ACTOR_TITLE = b"ray::"


@dataclass
class Stops:
    """The stops of one process: since when it has been stopped, and when it was continued. Pure."""

    since_s: float | None = None
    continued_s: list[float] = field(default_factory=list)

    def look(self, state: ProcessState, now_s: float, patience_s: float) -> str:
        """Return 'wait', 'continue' or 'end'; it may be stopped for `patience_s` before anything is done."""
        if state is not ProcessState.STOPPED:
            self.since_s = None
            return "wait"
        self.since_s = now_s if self.since_s is None else self.since_s
        if now_s - self.since_s < patience_s:
            return "wait"
        self.continued_s = [then_s for then_s in self.continued_s if now_s - then_s < _RELAPSE_S]
        if len(self.continued_s) >= _MOST_CONTINUED:
            return "end"
        self.continued_s.append(now_s)
        return "continue"


class Reviver:
    """Checks each second, in a thread that never calls Ray. `head_lost` is called once, with the reason."""

    def __init__(self, guard_pid: int, head_lost: Callable[[str], None]) -> None:
        self._guard_pid, self._head_lost = guard_pid, head_lost
        self._stops: dict[int, Stops] = {}
        self._head: tuple[str, int] | None = None
        self._head_answered_s = self._head_asked_s = 0.0
        threading.Thread(target=self._run, name="reviver", daemon=True).start()

    def watch_head(self, address: str) -> None:
        """Ask the cluster's head at host:port for a sign of life from now on."""
        host, _, port = address.rpartition(":")
        self._head_answered_s = time.monotonic()
        self._head = (host.removeprefix("[").removesuffix("]"), int(port))

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            try:
                self.look(time.monotonic())
                self._ask_head()
            except OSError as error:
                sys.stderr.write(f"reviver: {error!r}\n")

    def look(self, now_s: float) -> None:
        """Look at the guard and at every process below this one, and act."""
        pids = [self._guard_pid, *descendants(os.getpid())]
        self._stops = {pid: self._stops.get(pid) or Stops() for pid in pids}
        for pid, stops in self._stops.items():
            state = state_of(pid)
            # Asked only now: a process gets its title some time after its start.
            patience_s = _patience_s(pid) if state is ProcessState.STOPPED else 0.0
            action = stops.look(state, now_s, patience_s)
            if action == "wait":
                continue
            sys.stderr.write(f"process {pid} was stopped by a signal: {action}\n")
            # A cluster works without its guard, but ending the guard would end the cluster.
            if action == "continue" or pid == self._guard_pid:
                examine(pid, "", may_continue=True)
            else:
                end_process(pid, "")

    def _ask_head(self) -> None:
        now_s = time.monotonic()
        if self._head is None or now_s - self._head_asked_s < _HEAD_ASKED_EACH_S:
            return
        self._head_asked_s = now_s
        if speaks_grpc(*self._head):
            self._head_answered_s = time.monotonic()
        elif time.monotonic() - self._head_answered_s > _HEAD_SILENT_S:
            self._head = None
            self._head_lost(f"the cluster's head did not respond for {_HEAD_SILENT_S:.0f} s")


def _patience_s(pid: int) -> float:
    try:
        is_actor = Path(f"/proc/{pid}/cmdline").read_bytes().startswith(_ACTOR_TITLE)
    except OSError:
        return _STOPPED_S
    return _ACTOR_STOPPED_S if is_actor else _STOPPED_S

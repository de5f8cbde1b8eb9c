"""The router's watch on its controller: both run on one node, so the router can see its process state.

This works without a connected session: a controller stopped by a signal is continued, and killed if it stops
again; Ray then restarts it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from cluster.deploy.own_pause import OwnPause
from cluster.deploy.process_state import ProcessState, end_process, examine
from cluster.deploy.raylet_watch import speaks_grpc
from cluster.deploy.stuck import Suspicion

CONTROLLER_TITLE = "ray::Controller"
CONTROLLER_HUNG_S = 60.0
_LOOK_S = 1.0


class ControllerWatch:
    """Watches one controller in its own thread. `hear` records a sign of life."""

    def __init__(self, pid: int, gcs_address: str) -> None:
        self._pid = pid
        host, _, port = gcs_address.rpartition(":")
        self._gcs = (host.removeprefix("[").removesuffix("]"), int(port))
        self._heard_at_s = time.monotonic()
        self._heard_ever = False
        self._suspicion = Suspicion(hung_s=CONTROLLER_HUNG_S)
        threading.Thread(target=self._run, name="controller-watch", daemon=True).start()

    def hear(self) -> None:
        """Record that the controller has just called."""
        self._heard_at_s, self._heard_ever = time.monotonic(), True

    def _run(self) -> None:
        own_pause = OwnPause()
        while True:
            time.sleep(_LOOK_S)
            self._heard_at_s += own_pause.seconds()
            self.look(time.monotonic() - self._heard_at_s)

    def look(self, silent_s: float, end: Callable[[int, str], bool] = end_process) -> str | None:
        """Check a silence of this length; kills the controller and returns why, or None."""
        if silent_s < self._suspicion.suspect_s:
            return None
        now_s = time.monotonic()
        may_continue = self._suspicion.may_continue(now_s)
        found = examine(self._pid, CONTROLLER_TITLE, may_continue=may_continue)
        reason = self._suspicion.verdict(found, silent_s, now_s)
        if found is ProcessState.CONTINUED:
            sys.stderr.write(f"the controller {self._suspicion.trouble}\n")
        if reason is None or (found is not ProcessState.STOPPED and not self._may_judge_silence()):
            return None
        sys.stderr.write(f"pid {os.getpid()} ends the controller: it {reason}\n")
        end(self._pid, CONTROLLER_TITLE)
        return reason

    def _may_judge_silence(self) -> bool:
        """False while silence is expected: the controller claims GPUs, or waits for a lost head node."""
        return self._heard_ever and speaks_grpc(*self._gcs)

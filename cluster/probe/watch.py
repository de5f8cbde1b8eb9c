"""Keeps a probe process running on this node and holds its latest reading, even if NVML hangs or crashes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from cluster.detail import NodeDetail
from cluster.inventory import Node
from cluster.probe.child import Place, ProbeChild
from cluster.probe.lines import ProbeLine, ProbeOrder, Seen
from cluster.probe.nvml import OPENING
from cluster.probe.quarantine import Quarantine
from cluster.telemetry import NodeReading, NodeState

Listener = Callable[[Node, NodeReading, NodeDetail | None], None]

_LOOK_S = 0.5
_MOST_UNKILLABLE = 2
# Without its persistence daemon the driver starts every GPU anew when NVML is opened.
_START_ALLOWANCE_S = 60.0
_READINGS_UNTIL_SOUND = 5


class ProbeProcess:
    """Reads this node through a process with a deadline. `latest()` never waits and never raises.

    A call that does not return makes the node 'hung', with its age, and the process is replaced without being
    waited for; the GPU it hung on is left alone for a while, so that the others go on. A process that dies is
    started anew, each time after a longer pause.
    """

    def __init__(
        self,
        node_id: str,
        name: str,
        *,
        interval_s: float = 1.0,
        inventory_interval_s: float = 15.0,
        detail_interval_s: float = 5.0,
        deadline_s: float = 10.0,
        listener: Listener | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._order = ProbeOrder(
            node_id=node_id,
            name=name,
            parent_pid=0,
            mark_fd=0,
            interval_s=interval_s,
            inventory_interval_s=inventory_interval_s,
            detail_interval_s=detail_interval_s,
        )
        self._deadline_s, self._listener, self._env = deadline_s, listener, env
        self._quarantine = Quarantine()
        self._closing = threading.Event()
        self._first = threading.Event()
        self._lock = threading.Lock()
        self._node = Node(node_id=node_id, name=name)
        self._reading = NodeReading(
            node_id=node_id, taken_at_s=time.time(), state="stale", reason="waiting for the first reading"
        )
        self._detail: NodeDetail | None = None
        self._heard_s = time.monotonic()
        self._child: ProbeChild | None = None
        self._unkillable: list[ProbeChild] = []
        self._thread = threading.Thread(target=self._supervise, name="gpu-probe", daemon=True)

    def start(self) -> None:
        """Start the probe; readings come within a second where NVML answers."""
        self._thread.start()

    def wait_first(self, timeout_s: float) -> bool:
        """Wait for the first reading or error; False after the timeout."""
        return self._first.wait(timeout_s)

    @property
    def pid(self) -> int | None:
        """The process that reads now; None before the first."""
        return self._child.pid if self._child else None

    def latest(self) -> Seen:
        """Return what was last seen; when that is old, the state is 'stale' or 'hung' and the reason why."""
        with self._lock:
            return Seen(self._node, self._reading, self._detail)

    def close(self) -> None:
        """End the probe process without waiting for it. Safe to call twice, and before `start`."""
        self._closing.set()
        child = self._child
        if child is not None:
            child.end()

    def _supervise(self) -> None:
        while not self._closing.is_set():
            try:
                pause_s = self._run_once()
            except Exception as error:
                # Any error is reported and retried: otherwise the last reading would look fresh.
                self._trouble("stale", f"the probe cannot run: {type(error).__name__}: {error}")
                pause_s = self._quarantine.crashed(None, "", time.monotonic())
            self._pause(pause_s)

    def _run_once(self) -> float:
        """Run one process to its end; return the pause after it, in seconds."""
        skipped = self._quarantine.skipped(time.monotonic())
        child = ProbeChild(self._order.model_copy(update={"skipped": skipped}), self._env)
        self._child = child
        try:
            return self._follow(child, skipped)
        finally:
            child.close()
            self._unkillable = [stuck for stuck in [*self._unkillable, child] if stuck.alive]

    def _follow(self, child: ProbeChild, skipped: dict[int, str]) -> float:
        """Read the process's lines until it hangs, dies or is not needed; returns the pause after it."""
        moved_s, place, num_readings = time.monotonic(), child.place(), 0
        while not self._closing.is_set():
            lines = child.lines(_LOOK_S)
            num_readings += self._take(lines)
            now_s, last_place, place = time.monotonic(), place, child.place()
            if lines or place != last_place:
                moved_s = now_s
            if num_readings >= _READINGS_UNTIL_SOUND:
                self._quarantine.recovered()
            if child.ended:
                reason = child.how_it_ended()
                self._trouble("stale", reason)
                return self._quarantine.crashed(place.gpu_index, reason, now_s)
            if now_s - moved_s > self._allowed_s(place):
                self._trouble("hung", self._no_return(place))
                reason = f"{place.describe()} did not return within {self._deadline_s:g} s"
                return self._quarantine.hung(place.gpu_index, reason, now_s)
            if now_s - self._heard_s > 3 * self._order.interval_s + _LOOK_S:
                self._trouble("stale", self._no_return(place))
            if self._quarantine.skipped(now_s).keys() != skipped.keys():
                return 0.0
        return 0.0

    def _allowed_s(self, place: Place) -> float:
        """Return how long a process may stay in one place: longer where it starts."""
        starts = place.function in (None, OPENING)
        return max(self._deadline_s, _START_ALLOWANCE_S) if starts else self._deadline_s

    def _no_return(self, place: Place) -> str:
        return f"{place.describe()} has not returned for {time.monotonic() - self._heard_s:.0f} s"

    def _take(self, lines: list[ProbeLine]) -> int:
        """Keep the content of the lines; returns how many readings were among them."""
        readings = [line.reading for line in lines if line.reading is not None]
        with self._lock:
            for line in lines:
                self._node = line.node or self._node
                if line.detail is not None:
                    self._detail = line.detail.model_copy(update={"taken_at_s": time.time()})
            if readings:
                # Stamped here: a reading's age counts from its arrival.
                self._reading = readings[-1].model_copy(update={"taken_at_s": time.time()})
        if readings:
            self._heard_s = time.monotonic()
            self._notify()
        return len(readings)

    def _trouble(self, state: NodeState, reason: str) -> None:
        """Mark the last good values, which keep their time; a hung node stays hung until it responds."""
        with self._lock:
            marked = "hung" if self._reading.state == "hung" else state
            self._reading = self._reading.model_copy(update={"state": marked, "reason": reason})
            if not self._node.gpus:
                self._node = self._node.model_copy(update={"error": reason})
        self._notify()

    def _notify(self) -> None:
        self._first.set()
        if self._listener is not None and not self._closing.is_set():
            self._listener(*self.latest())

    def _pause(self, pause_s: float) -> None:
        self._closing.wait(pause_s)
        while len(self._unkillable) > _MOST_UNKILLABLE and not self._closing.wait(_LOOK_S):
            # Do not pile up processes that are stuck in the kernel.
            self._unkillable = [stuck for stuck in self._unkillable if stuck.alive]

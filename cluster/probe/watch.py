"""Keeps a probe process running on this node and holds its latest reading, even if NVML hangs or crashes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, KeysView, Mapping

from cluster.detail import NodeDetail
from cluster.inventory import Node
from cluster.probe.child import ProbeChild
from cluster.probe.known import KnownGpus
from cluster.probe.lines import ProbeLine, ProbeOrder, Seen
from cluster.probe.pace import Pace
from cluster.probe.place import Place
from cluster.probe.quarantine import Quarantine
from cluster.probe.query import OPENING
from cluster.probe.visible import visible_from
from cluster.telemetry import NodeReading, NodeState

Listener = Callable[[Node, NodeReading, NodeDetail | None], None]

_Alone = tuple[KeysView[int], int]
"""GPUs that are skipped, and how many calls are left out."""

_LOOK_S = 0.5
_MOST_UNKILLABLE = 2
# Without its persistence daemon the driver starts every GPU anew when NVML is opened.
_START_ALLOWANCE_S = 60.0
_NOT_YET = "waiting for the first reading"
_LONG_CALL_S = 2.0
"""A shorter call is not what keeps a reading away."""
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
            visible=visible_from(os.environ if env is None else env),
            inventory_interval_s=inventory_interval_s,
            detail_interval_s=detail_interval_s,
        )
        self._deadline_s, self._listener, self._env = deadline_s, listener, env
        self._quarantine, self._known = Quarantine(), KnownGpus()
        self._pace = Pace(3 * interval_s + _LOOK_S)
        self._closing = threading.Event()
        self._first = threading.Event()
        self._lock = threading.Lock()
        self._node = Node(node_id=node_id, name=name)
        self._reading = NodeReading(node_id=node_id, taken_at_s=time.time(), state="stale", reason=_NOT_YET)
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
                pause_s = self._quarantine.crashed(Place(), "", time.monotonic())
            self._pause(pause_s)

    def _run_once(self) -> float:
        """Run one process to its end; return the pause after it, in seconds."""
        now_s = time.monotonic()
        skipped, left_out = self._quarantine.skipped(now_s), self._quarantine.left_out(now_s)
        child = ProbeChild(
            self._order.model_copy(update={"skipped": skipped, "left_out": left_out}), self._env
        )
        self._child = child
        self._pace.began()
        try:
            return self._follow(child, (skipped.keys(), len(left_out)))
        finally:
            child.close()
            self._unkillable = [stuck for stuck in [*self._unkillable, child] if stuck.alive]

    def _follow(self, child: ProbeChild, alone: _Alone) -> float:
        """Read the process's lines until it hangs, dies or is not needed; returns the pause after it."""
        num_readings = 0
        while not self._closing.is_set():
            num_readings += self._take(child.lines(_LOOK_S))
            now_s, place = time.monotonic(), child.place()
            if num_readings >= _READINGS_UNTIL_SOUND:
                self._quarantine.recovered()
            if child.ended:
                return self._ended(child, place, now_s)
            # Counted from the beginning of this call: a driver that is slow in all calls hangs in none.
            in_call_s = now_s - (place.began_s or now_s)
            if in_call_s > self._allowed_s(place):
                self._trouble("hung", self._no_return(place, in_call_s, now_s))
                reason = f"{place.describe_waiting()} did not return within {self._deadline_s:g} s"
                return self._quarantine.hung(place, reason, now_s, len(self._node.gpus))
            if now_s - self._heard_s > self._pace.allowed_s(now_s):
                self._trouble("stale", self._no_return(place, in_call_s, now_s))
            if self._is_due_again(alone, now_s):
                return 0.0
        return 0.0

    def _ended(self, child: ProbeChild, place: Place, now_s: float) -> float:
        ending = child.how_it_ended()
        self._trouble("stale", ending.reason)
        guilty = place if ending.in_call else Place()
        return self._quarantine.crashed(guilty, ending.reason, now_s, len(self._node.gpus))

    def _is_due_again(self, alone: _Alone, now_s: float) -> bool:
        """Whether something that was left alone is to be tried again, in another process."""
        skipped, left_out = self._quarantine.skipped(now_s), self._quarantine.left_out(now_s)
        return (skipped.keys(), len(left_out)) != alone

    def _allowed_s(self, place: Place) -> float:
        """Return how long a process may stay in one place: longer where it starts or rests."""
        if place.function is None or place.function == OPENING:
            return max(self._deadline_s, _START_ALLOWANCE_S)
        return self._deadline_s

    def _no_return(self, place: Place, in_call_s: float, now_s: float) -> str:
        unread_s = now_s - self._heard_s
        if place.function is not None and in_call_s >= min(_LONG_CALL_S, self._deadline_s):
            told = f"{place.describe_waiting()} has not returned for {in_call_s:.0f} s"
            return (
                told
                if unread_s < in_call_s + 2 * self._order.interval_s + 1
                else (f"{told}, no reading for {unread_s:.0f} s")
            )
        if place.function is None and (self._reading.reason or "").startswith(_NOT_YET):
            return f"{_NOT_YET} ({unread_s:.0f} s)"
        slow = "" if place.function is None else ": the driver answers slowly"
        return f"no reading for {unread_s:.0f} s{slow}"

    def _take(self, lines: list[ProbeLine]) -> int:
        """Keep the content of the lines; returns how many readings were among them."""
        readings = [line.reading for line in lines if line.reading is not None]
        with self._lock:
            for line in lines:
                self._keep(line)
        if readings:
            self._heard_s = time.monotonic()
            self._pace.read(self._heard_s)
            self._notify()
        return len(readings)

    def _keep(self, line: ProbeLine) -> None:
        if line.node is not None:
            self._node = self._known.node(line.node)
        # Stamped here: a reading's age counts from its arrival.
        arrived = {"taken_at_s": time.time()}
        if line.reading is not None:
            self._reading = self._known.reading(line.reading).model_copy(update=arrived)
        if line.detail is not None:
            self._detail = self._known.detail(line.detail).model_copy(update=arrived)

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

"""Keeps a probe process running on this node and its latest reading at hand, whatever NVML does to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from cluster.inventory import Node
from cluster.probe.child import ProbeChild
from cluster.probe.lines import ProbeLine, ProbeOrder
from cluster.probe.strikes import Strikes
from cluster.telemetry import NodeReading, NodeState

Listener = Callable[[Node, NodeReading], None]

_LOOK_S = 0.5
_MOST_UNKILLABLE = 2
_START_ALLOWANCE_S = 20.0


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
        )
        self._deadline_s, self._listener, self._env = deadline_s, listener, env
        self._strikes = Strikes()
        self._closing = threading.Event()
        self._first = threading.Event()
        self._lock = threading.Lock()
        self._node = Node(node_id=node_id, name=name)
        self._reading = self._trouble_reading(
            "stale", "waiting for the first reading", taken_at_s=time.time()
        )
        self._child: ProbeChild | None = None
        self._unkillable: list[ProbeChild] = []
        self._thread = threading.Thread(target=self._supervise, name="gpu-probe", daemon=True)

    def start(self) -> None:
        """Start the probe; readings come within a second where NVML answers."""
        self._thread.start()

    def wait_first(self, timeout_s: float) -> bool:
        """Wait until something is known, good or bad; False when the timeout was first."""
        return self._first.wait(timeout_s)

    def latest(self) -> tuple[Node, NodeReading]:
        """Return what was last seen; when that is old, the state is 'stale' or 'hung' and the reason why."""
        with self._lock:
            return self._node, self._reading

    def close(self) -> None:
        """End the probe process without waiting for it. Safe to call twice, and before `start`."""
        self._closing.set()
        child = self._child
        if child is not None:
            child.end()

    def _supervise(self) -> None:
        while not self._closing.is_set():
            skipped = self._strikes.skipped(time.monotonic())
            try:
                child = ProbeChild(self._order.model_copy(update={"skipped": skipped}), self._env)
            except OSError as error:
                self._trouble("stale", f"the probe could not be started: {error}")
                self._closing.wait(self._strikes.crashed(None, "", time.monotonic()))
                continue
            self._child = child
            try:
                pause_s = self._follow(child, skipped)
            finally:
                child.close()
            self._unkillable = [stuck for stuck in [*self._unkillable, child] if stuck.alive]
            self._pause(pause_s)

    def _follow(self, child: ProbeChild, skipped: dict[int, str]) -> float:
        """Take the process's lines until it hangs, dies or is no longer wanted; return the pause after it."""
        heard_s = time.monotonic() + _START_ALLOWANCE_S - self._deadline_s
        while not self._closing.is_set():
            lines = child.lines(_LOOK_S)
            now_s = time.monotonic()
            if lines:
                heard_s = now_s
                self._take(lines)
            place, silent_s = child.place(), now_s - heard_s
            if child.ended:
                reason = child.how_it_ended()
                self._trouble("stale", reason)
                return self._strikes.crashed(place.gpu_index, reason, now_s)
            if silent_s > self._deadline_s:
                reason = f"{place.in_words()} has not returned for {silent_s:.0f} s"
                self._trouble("hung", reason)
                return self._strikes.hung(place.gpu_index, reason, now_s)
            if silent_s > 3 * self._order.interval_s + _LOOK_S:
                self._trouble("stale", f"{place.in_words()} has not returned for {silent_s:.0f} s")
            if self._strikes.skipped(now_s).keys() != skipped.keys():
                return 0.0
        return 0.0

    def _take(self, lines: list[ProbeLine]) -> None:
        for line in lines:
            with self._lock:
                self._node = line.node or self._node
                # Stamped here: a reading's age counts from its arrival.
                if line.reading is not None:
                    self._reading = line.reading.model_copy(update={"taken_at_s": time.time()})
            if line.reading is not None:
                self._strikes.delivered()
                self._tell()

    def _trouble(self, state: NodeState, reason: str) -> None:
        with self._lock:
            last = self._reading
            self._reading = self._trouble_reading(state, reason, last.taken_at_s, last)
        self._tell()

    def _trouble_reading(
        self, state: NodeState, reason: str, taken_at_s: float, last: NodeReading | None = None
    ) -> NodeReading:
        """Keep the last good values with their time, so that their age shows."""
        gpus = last.gpus if last else ()
        node_id = self._order.node_id
        return NodeReading(node_id=node_id, taken_at_s=taken_at_s, state=state, reason=reason, gpus=gpus)

    def _tell(self) -> None:
        self._first.set()
        if self._listener is not None and not self._closing.is_set():
            self._listener(*self.latest())

    def _pause(self, pause_s: float) -> None:
        self._closing.wait(pause_s)
        while len(self._unkillable) > _MOST_UNKILLABLE and not self._closing.wait(_LOOK_S):
            # More processes stuck in the kernel would help nobody.
            self._unkillable = [stuck for stuck in self._unkillable if stuck.alive]

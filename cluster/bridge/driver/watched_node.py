"""One node of a Ray cluster: what Ray reports, what its probe reads, and what to show."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from cluster.bridge.driver.dead_node import as_left
from cluster.bridge.driver.gpu_counts import count_disagreement, short_disagreement
from cluster.bridge.driver.node_look import NOTHING, NodeLook, Stamps
from cluster.bridge.keeper.embedded import NAME_LABEL
from cluster.deploy.stuck import StuckWatch
from cluster.detail import NodeDetail
from cluster.inventory import Node, NodeLeft
from cluster.probe.naming import with_catalog_types
from cluster.probe.query import NO_GPUS, NO_LIBRARY
from cluster.telemetry import NodeReading, NodeState

FIRST_ANSWER_S = 40.0
"""How long a new probe may take: Ray ships the code and starts a process, the driver initializes its GPUs."""

_STALE_S = 3.0
_HUNG_S = 30.0
_FAILED_STARTS = 2
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What a node's error and the reason of its readings were made of."""

    described: Node
    state: NodeState
    reason: str | None
    short: str | None
    """The reason that the readings show."""


@dataclass
class WatchedNode:
    """One node of the cluster and the probe on it."""

    node_id: str
    name: str
    address: str
    labels: dict[str, str]
    num_gpus: int
    """GPUs that Ray counts on the node."""
    probe: Any = None
    pending: Any = None
    asked_at_s: float = 0.0
    node: Node | None = None
    """As its probe last described it; its GPUs are not judged yet."""
    reading: NodeReading | None = None
    detail: NodeDetail | None = None
    stamps: Stamps = NOTHING
    """Of what the probe sent last, so that it need not send that again."""
    held: tuple[str, ...] = ()
    """What of ours ran there when its probe last answered."""
    trouble: str = ""
    """Why the probe itself does not answer."""
    gone: Node | None = None
    """The node as a dead one, once it has left."""
    dismissed: bool = False
    """Not shown, although its raylet lives: a scene let the node die, and it was dismissed."""
    first_seen_s: float = field(default_factory=time.time)
    failed_starts: int = 0
    next_start_s: float = 0.0
    stuck: StuckWatch | None = None
    detail_taken_at_s: float = 0.0
    """When slow figures were last handed on."""
    _taken: NodeDetail | None = None
    _described: Node | None = None
    _told: _Told | None = None

    @property
    def shows_gpus(self) -> bool:
        return self.num_gpus > 0 or (self.node is not None and bool(self.node.gpus))

    @property
    def settled(self) -> bool:
        """True once the node has answered, is gone, or is known not to answer."""
        return self.node is not None or self.gone is not None or self._given_up()

    @property
    def died_at_s(self) -> float | None:
        """Unix time at which the node was found dead; None: it is alive."""
        return self.gone.left.at_s if self.gone is not None and self.gone.left is not None else None

    @property
    def is_dead(self) -> bool:
        """True for a node that left, and for one that a scene shows as dead."""
        return self.gone is not None or (self.node is not None and self.node.left is not None)

    def late_s(self) -> float:
        """Return for how long the probe owes an answer; 0 while it owes none."""
        return time.time() - self.asked_at_s if self.pending is not None else 0.0

    def look_at_silence(self) -> None:
        """Follow up a probe that was up and does not answer: continued, or ended and started again by Ray."""
        if self.stuck is not None:
            self.stuck.suspicion.hung_s = _HUNG_S if self.reading is not None else None
            self.stuck.look(self.probe, self.late_s())

    def _given_up(self) -> bool:
        return self.failed_starts >= _FAILED_STARTS or time.time() - self.first_seen_s > FIRST_ANSWER_S

    def failed(self, reason: str) -> None:
        """Note that the probe ended; the next start waits, each time longer."""
        self.trouble, self.probe = reason, None
        self.failed_starts += 1
        self.next_start_s = time.time() + min(2.0 ** (self.failed_starts - 1), _LONGEST_PAUSE_S)

    def left(self, reason: str) -> None:
        """Note that Ray counts the node as dead."""
        self.gone = as_left(self.shown(), NodeLeft(at_s=time.time(), reason=reason, held=self.held))
        # Nothing of it is asked again: Ray can let its actor go.
        self.probe = self.pending = self.stuck = None

    def answered(self, look: NodeLook) -> None:
        """Take in what the probe said; its clock is the node's, which may differ from ours."""
        self.trouble, self.failed_starts, self.stamps = "", 0, look.stamps
        ahead_s = look.clock_s - time.time()
        if look.node is not None:
            ours = {"address": self.address, "ray_gpus": self.num_gpus}
            self._described = with_catalog_types(look.node).model_copy(update=ours)
        if look.detail is not None:
            self.detail = look.detail.model_copy(update={"taken_at_s": look.detail.taken_at_s - ahead_s})
        assert self._described is not None, "a probe's first answer has everything"
        self._take_reading(self._described, look.reading, ahead_s)

    @property
    def has_new_detail(self) -> bool:
        """True when slow figures came since the last `take_detail`."""
        return self.gone is None and self.detail is not self._taken

    def take_detail(self) -> NodeDetail:
        """Return the slow figures, which must be there."""
        assert self.detail is not None
        self._taken, self.detail_taken_at_s = self.detail, time.time()
        return self.detail

    def _take_reading(self, described: Node, reading: NodeReading, ahead_s: float) -> None:
        told, state, reason = self._told, reading.state, reading.reason
        # The same object as long as nothing changed: that is how changes are found among thousands of GPUs.
        if told is None or told.described is not described or (told.state, told.reason) != (state, reason):
            counts = short_disagreement(self.num_gpus, described) if state in ("ok", "no_gpus") else None
            error = self._error_of(described, reading)
            if (
                told is None
                or told.described is not described
                or self.node is None
                or self.node.error != error
            ):
                self.node = described.model_copy(update={"error": error})
            self._told = told = _Told(described, state, reason, counts or reason)
        update = {"taken_at_s": reading.taken_at_s - ahead_s, "reason": told.short}
        self.reading = reading.model_copy(update=update)

    def _error_of(self, node: Node, reading: NodeReading) -> str | None:
        if reading.state in ("stale", "hung") and not node.gpus:
            return f"its GPUs could not be read (Ray counts {self.num_gpus}): {node.error or reading.reason}"
        # A machine without a GPU, of which Ray counts none either, is as it should be.
        quiet = not self.num_gpus and not node.gpus and node.error in (NO_LIBRARY, NO_GPUS)
        return None if quiet else count_disagreement(self.num_gpus, node, self.labels) or node.error

    def shown(self) -> Node:
        """Return the node for the inventory: as it was read, or the reason why it was not, or as dead."""
        if self.gone is not None:
            return self.gone
        if self.node is not None:
            return self.node
        bare = Node(node_id=self.node_id, name=self.name, address=self.address, ray_gpus=self.num_gpus)
        return bare.model_copy(update={"error": self._why_unread()})

    def _why_unread(self) -> str:
        if self.failed_starts:
            return f"the probe on this node cannot start: {self.trouble}"
        if self._given_up():
            return f"the probe on this node did not respond within {FIRST_ANSWER_S:.0f} s"
        return "the probe on this node has not responded yet"

    def reading_now(self) -> NodeReading:
        """Return the latest reading, marked where it is late or the node is gone.

        A reason here is short, as the screen's node lines are; the inventory's error says all.
        """
        if self.gone is not None:
            return self._marked("lost", "left the cluster")
        if self.reading is None:
            waits = not self._given_up()
            return self._marked("stale", "not read yet") if waits else self._marked("lost", "never read")
        late_s = self.late_s()
        if late_s > _STALE_S:
            return self._marked("stale", self.trouble or f"the probe has not answered for {late_s:.0f} s")
        return self.reading

    def _marked(self, state: NodeState, reason: str) -> NodeReading:
        last = self.reading or NodeReading(node_id=self.node_id, taken_at_s=time.time())
        return last.model_copy(update={"state": state, "reason": reason})


def watch(entry: dict[str, Any]) -> WatchedNode:
    """Begin to watch a node from its entry in `ray.nodes()`."""
    labels = dict(entry.get("Labels") or {})
    name = labels.get(NAME_LABEL) or entry.get("NodeName") or entry["NodeID"][:8]
    num_gpus = int(entry.get("Resources", {}).get("GPU", 0))
    return WatchedNode(entry["NodeID"], name, entry.get("NodeManagerAddress", ""), labels, num_gpus)

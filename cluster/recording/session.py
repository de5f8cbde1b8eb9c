"""A session that plays a recording: the same events again, in their time, faster, or from elsewhere."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from cluster.bridge.events import Progress, SessionLost
from cluster.bridge.session import Listener
from cluster.deploy.drain import SCALE_DRAIN_S, STOP_DRAIN_S
from cluster.deploy.log_page import LogPage
from cluster.deploy.spec import DeploymentSpec
from cluster.errors import BadInput, ClusterviewError
from cluster.recording.cursor import Cursor
from cluster.recording.moment import shown_moment
from cluster.recording.recording import Recording
from cluster.recording.state import EMPTY, Restorer, State
from cluster.text import clean

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_PICTURE_S = 0.1
"""At high speeds only the latest state in this time is sent."""
_RUN_UP_READINGS = 20_000
"""Readings of GPUs that are sent before a position, so that histories are full there."""
_MOST_DAMAGE_SAID = 3


@dataclass(frozen=True, slots=True)
class ReplayPosition:
    """Where playing is. Times are Unix times of the recording."""

    at_s: float
    first_at_s: float
    last_at_s: float
    speed: float = 1.0
    is_playing: bool = True

    @property
    def is_at_end(self) -> bool:
        return self.at_s >= self.last_at_s


class ReplaySession:
    """Plays from `start_at_s` (default: the beginning). Orders fail with BadInput.

    The controls return at once; a thread of the session's own carries them out in order.
    """

    can_deploy = False

    def __init__(
        self,
        recording: Recording,
        *,
        start_at_s: float | None = None,
        is_playing: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recording, self._clock = recording, clock
        self._cursor, self._restorer = Cursor(recording), Restorer()
        self._listener: Listener = lambda event: None
        self._orders: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._sent: State = EMPTY
        self._damage_said = 0
        begin_s = recording.first_at_s if start_at_s is None else start_at_s
        begin = ReplayPosition(begin_s, recording.first_at_s, recording.last_at_s, is_playing=is_playing)
        self._moved = (begin, clock())
        """The last position that was set, and when, in one value because other threads read it."""

    @property
    def title(self) -> str:
        """The file, and the cluster that was recorded."""
        return f"replay {clean(self._recording.path.name, 60)}: {self._recording.header.title}"

    @property
    def position(self) -> ReplayPosition:
        """Where playing is now."""
        position, since_s = self._moved
        if not position.is_playing:
            return position
        at_s = position.at_s + max(0.0, self._clock() - since_s) * position.speed
        return replace(position, at_s=min(at_s, position.last_at_s))

    def now_s(self) -> float:
        """Return the Unix time of the recording at which playing is: ages are counted to it."""
        return self.position.at_s

    def start(self, listener: Listener) -> None:
        """Begin to play."""
        self._listener = listener
        self._orders.put(lambda: self._go_to(self._moved[0].at_s))
        threading.Thread(target=self._run, name="replay", daemon=True).start()

    def close(self) -> None:
        """End playing."""
        self._orders.put(None)

    def set_playing(self, is_playing: bool) -> None:
        """Pause, or go on. At the end, going on starts again at the beginning."""
        self._orders.put(lambda: self._play(is_playing))

    def set_speed(self, speed: float) -> None:
        """Play `speed` times as fast as it was."""
        self._orders.put(lambda: self._move(self.position.at_s, speed=speed))

    def seek(self, at_s: float) -> None:
        """Go to a Unix time of the recording, or to its nearest end."""
        self._orders.put(lambda: self._go_to(at_s))

    def seek_by(self, seconds: float) -> None:
        """Go forward, or back where `seconds` is negative."""
        self._orders.put(lambda: self._go_to(self.position.at_s + seconds))

    def step(self, forward: bool = True) -> None:
        """Pause, and go to the next or the previous frame."""
        self._orders.put(lambda: self._step(forward))

    # The rest runs in the session's thread, except for the refusals below.

    def _run(self) -> None:
        try:
            while (order := self._next_order()) is not None:
                order()
                self._send_due()
        except ClusterviewError as error:
            self._lose(error.message)
        except (ValueError, RecursionError) as error:
            # pydantic's: whole blocks with a right checksum, but not the state of a cluster.
            self._lose(f"the recording cannot be played on: {clean(_first_line(error), 160)}")

    def _next_order(self) -> Callable[[], None] | None:
        try:
            return self._orders.get(timeout=self._pause_s())
        except queue.Empty:
            return _nothing

    def _pause_s(self) -> float | None:
        """Return how long nothing is due; None: until there is an order."""
        position, next_at_s = self.position, self._cursor.next_at_s
        if not position.is_playing:
            return None
        due_s = (position.last_at_s if next_at_s is None else next_at_s) - position.at_s
        return max(_PICTURE_S, due_s / position.speed)

    def _send_due(self) -> None:
        position = self.position
        if not position.is_playing:
            return
        while (next_at_s := self._cursor.next_at_s) is not None and next_at_s <= position.at_s:
            self._cursor.step()
        self._send(self._cursor.state)
        if position.is_at_end:
            self._move(position.last_at_s, is_playing=False)
            self._say("end of the recording")

    def _play(self, is_playing: bool) -> None:
        if is_playing and self.position.is_at_end:
            self._go_to(self._recording.first_at_s)
        self._move(self.position.at_s, is_playing=is_playing)
        self._say("playing" if is_playing else "paused")

    def _step(self, forward: bool) -> None:
        self._move(self.position.at_s, is_playing=False)
        moved = self._cursor.step() if forward else self._cursor.step_back()
        self._move(self._cursor.at_s)
        self._send(self._cursor.state)
        self._say(f"at {shown_moment(self._cursor.at_s)}" if moved else "no more frames there")

    def _go_to(self, at_s: float) -> None:
        at_s = min(max(at_s, self._recording.first_at_s), self._recording.last_at_s)
        self._move(at_s)
        states = list(self._cursor.run_up(at_s))
        for state in states[-_most_before(self._cursor.state) :]:
            self._send(state)
        self._move(at_s)
        self._say(f"at {shown_moment(at_s)}")

    def _move(self, at_s: float, **changes: Any) -> None:
        self._moved = (replace(self._moved[0], at_s=at_s, **changes), self._clock())

    def _send(self, state: State) -> None:
        for event in self._restorer.events(self._sent, state):
            self._listener(event)
        self._sent = state
        self._say_damage()

    def _say(self, message: str) -> None:
        """Report a step that is done."""
        self._listener(Progress(message=message, fraction=1.0))

    def _say_damage(self) -> None:
        for first_at_s, last_at_s, why in self._cursor.damage[self._damage_said : _MOST_DAMAGE_SAID]:
            span = f"{shown_moment(first_at_s)} to {shown_moment(last_at_s, date=False)}"
            self._listener(Progress(message=f"the recording is damaged, {span} is left out: {why}"))
        self._damage_said = len(self._cursor.damage)

    def _lose(self, reason: str) -> None:
        with contextlib.suppress(Exception):
            self._listener(
                SessionLost(reason=reason, hint="Check the file, or record again", type="BadInput")
            )

    # What a recording cannot do.

    def deploy(self, spec: DeploymentSpec) -> Future[None]:
        """Refuse."""
        return _refused()

    def check(self, spec: DeploymentSpec) -> Future[None]:
        """Refuse."""
        return _refused()

    def stop(self, name: str, drain_s: float = STOP_DRAIN_S) -> Future[None]:
        """Refuse."""
        return _refused()

    def scale(self, spec: DeploymentSpec, drain_s: float = SCALE_DRAIN_S) -> Future[None]:
        """Refuse."""
        return _refused()

    def prompt(self, name: str, prompt_id: str, text: str, max_tokens: int) -> Future[None]:
        """Refuse."""
        return _refused()

    def logs(self, name: str, replica: int, member: int, first: int, most: int) -> Future[LogPage]:
        """Refuse."""
        return _refused()

    def describe(self, name: str) -> Future[DeploymentSpec]:
        """Refuse."""
        return _refused()

    def dismiss(self, node_id: str) -> Future[None]:
        """Refuse."""
        return _refused()


def _most_before(state: State) -> int:
    """Return how many states may be sent for histories: fewer where each has many GPUs."""
    num_gpus = sum(len(node["gpus"]) for node in state["readings"].values() if "gpus" in node)
    return max(1, _RUN_UP_READINGS // max(1, num_gpus))


def _first_line(error: Exception) -> str:
    """Return the gist of pydantic's errors: which field, and what is wrong."""
    return " ".join(str(error).split()[:24])


def _nothing() -> None:
    """Carry out no order: what is due is sent in any case."""


def _refused() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(BadInput("this is a recording: what ran there cannot be changed or asked any more"))
    return future

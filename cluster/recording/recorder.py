"""Takes the state from a session's events, and adds it to a file about once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cluster.bridge.events import Event, ReadingsSeen, SessionLost
from cluster.recording.state import EMPTY, State, with_event
from cluster.recording.writer import RecordingWriter

_TICK_S = 1.0
_TOGETHER_S = 0.05
"""Events that belong to one reading of the cluster come within this time."""


class Recorder:
    """A session's listener. `record` runs in the caller's thread until it is told to end."""

    def __init__(self, writer: RecordingWriter, clock: Callable[[], float] = time.time) -> None:
        self._writer, self._clock = writer, clock
        self._state: State = EMPTY
        self._changed = threading.Condition()
        self._is_new = self._is_read = False
        self.lost: SessionLost | None = None

    @property
    def has_cluster(self) -> bool:
        """Whether the inventory was seen."""
        return self._state["cluster"] is not None

    def __call__(self, event: Event) -> None:
        """Take in an event (called by the session)."""
        with self._changed:
            state = with_event(self._state, event)
            self._is_new = self._is_new or state is not self._state
            self._state = state
            self._is_read = self._is_read or isinstance(event, ReadingsSeen)
            if isinstance(event, SessionLost):
                self.lost = event
            self._changed.notify_all()

    def record(self, is_over: Callable[[], bool]) -> None:
        """Add what is new with each reading, at least once a second, until `is_over` or the session ends."""
        while self.lost is None and not is_over():
            with self._changed:
                self._changed.wait_for(lambda: self._is_read or self.lost is not None, _TICK_S)
                # What belongs to the reading follows at once.
                self._changed.wait_for(lambda: self.lost is not None, _TOGETHER_S)
            self.add_news()

    def add_news(self) -> None:
        """Add the present state, if it is new and the inventory is known."""
        with self._changed:
            state, is_new = self._state, self._is_new
            self._is_new = self._is_read = False
        if is_new and state["cluster"] is not None:
            self._writer.add(self._clock(), state)

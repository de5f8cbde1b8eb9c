"""From the session's thread to the screen: events into the store, one message that something changed."""

from __future__ import annotations

from collections.abc import Callable

from cluster.bridge.events import Event
from tui.store import Store


class Listener:
    """Called by a session in a thread of its own. Silent once `stopped`."""

    def __init__(self, store: Store, tell: Callable[[], object]) -> None:
        self._store = store
        self._tell = tell
        self.stopped = False

    def __call__(self, event: Event) -> None:
        if self.stopped:
            return
        self._store.apply(event)
        self._tell()

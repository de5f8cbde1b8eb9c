"""From the session's thread to the screen: stores each event and posts one message."""

from __future__ import annotations

from collections.abc import Callable

from cluster.bridge.events import Event
from tui.store import Store


class Listener:
    """Called by a session in a thread of its own. Silent once `stopped`."""

    def __init__(self, store: Store, notify: Callable[[], object]) -> None:
        self._store = store
        self._notify = notify
        self.stopped = False

    def __call__(self, event: Event) -> None:
        if self.stopped:
            return
        self._store.apply(event)
        self._notify()

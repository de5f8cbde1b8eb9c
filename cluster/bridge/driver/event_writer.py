"""Writes messages to the parent: whole lines on a private pipe, from any thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from cluster.bridge.wire import encode
from cluster.frozen import FrozenModel

Send = Callable[[FrozenModel], None]
"""Hands an event or a reply to the parent."""


class EventWriter:
    """Writes messages to the parent. This process ends when the parent is gone."""

    def __init__(self, fd: int) -> None:
        self._pipe = os.fdopen(fd, "wb", buffering=0)
        self._lock = threading.Lock()

    def send(self, message: FrozenModel) -> None:
        """Write one line."""
        line = encode(message)
        with self._lock:
            try:
                while line:
                    line = line[self._pipe.write(line) or 0 :]
            except OSError:
                os._exit(0)

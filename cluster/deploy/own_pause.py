"""Pauses of this process itself, which must not be mistaken for silence of others."""

from __future__ import annotations

import time

_PAUSED_S = 3.0


class OwnPause:
    """Notices that a loop that should run several times per second did not run for a while."""

    def __init__(self) -> None:
        self._looked_at_s = time.monotonic()

    def seconds(self) -> float:
        """Return how long this process was paused since the last call, else 0; call it on every iteration."""
        now_s = time.monotonic()
        gap_s, self._looked_at_s = now_s - self._looked_at_s, now_s
        return gap_s if gap_s > _PAUSED_S else 0.0

"""Pauses of this process itself: one that was held up must not hold its own silence against others."""

from __future__ import annotations

import time

_PAUSED_S = 3.0


class OwnPause:
    """Notices that a loop which should look every fraction of a second did not for a while."""

    def __init__(self) -> None:
        self._looked_at_s = time.monotonic()

    def seconds(self) -> float:
        """Call it at each look: returns for how long this process was held up since the last, 0 for not."""
        now_s = time.monotonic()
        gap_s, self._looked_at_s = now_s - self._looked_at_s, now_s
        return gap_s if gap_s > _PAUSED_S else 0.0

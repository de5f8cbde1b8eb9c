"""How long a driver takes for one reading: a slow one is not called stuck."""

from __future__ import annotations

from collections import deque

_REMEMBERED_S = 600.0
_MARGIN = 1.5


class Pace:
    """Learns the longest pause between two readings; one that is no longer than usual is no news."""

    def __init__(self, least_s: float) -> None:
        self._least_s = least_s
        self._pauses: deque[tuple[float, float]] = deque()
        """(when, how long) of pauses that were longer than every later one."""
        self._last_s: float | None = None

    def began(self) -> None:
        """Record that another process reads from now on: the time without one is not the driver's."""
        self._last_s = None

    def read(self, now_s: float) -> None:
        """Record a reading."""
        if self._last_s is not None:
            pause_s = now_s - self._last_s
            while self._pauses and self._pauses[-1][1] <= pause_s:
                self._pauses.pop()
            self._pauses.append((now_s, pause_s))
        self._last_s = now_s

    def allowed_s(self, now_s: float) -> float:
        """Return how long a reading may take before it is late."""
        while self._pauses and self._pauses[0][0] < now_s - _REMEMBERED_S:
            self._pauses.popleft()
        longest_s = self._pauses[0][1] if self._pauses else 0.0
        return max(self._least_s, _MARGIN * longest_s)

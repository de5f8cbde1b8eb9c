"""Counts users' requests and tokens of a replica where they leave it; health checks do not count."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

_WINDOW_S = 5.0
_SLOT_S = 0.1
# A rate over less says more about the clock than about the replica.
_LEAST_SPAN_S = 0.5


class ServedMeter:
    """Counts requests and tokens from any thread; a rate is kept in slots of a tenth of a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: deque[tuple[float, int]] = deque()
        self.requests_total = 0
        self.output_tokens_total = 0

    def count_request(self) -> None:
        """Count a user's request."""
        with self._lock:
            self.requests_total += 1

    def count_token(self) -> None:
        """Count a token on its way to a user."""
        self.count_tokens(1)

    def count_tokens(self, more: int) -> None:
        """Count tokens that arrive together."""
        now_s = self._clock()
        with self._lock:
            self.output_tokens_total += more
            if self._slots and now_s - self._slots[-1][0] < _SLOT_S:
                began_s, count = self._slots.pop()
                self._slots.append((began_s, count + more))
            else:
                self._slots.append((now_s, more))

    def tokens_per_s(self) -> float:
        """Return the tokens of the last seconds over the time since the first of them."""
        now_s = self._clock()
        with self._lock:
            while self._slots and now_s - self._slots[0][0] > _WINDOW_S:
                self._slots.popleft()
            if not self._slots:
                return 0.0
            return sum(count for _, count in self._slots) / max(now_s - self._slots[0][0], _LEAST_SPAN_S)

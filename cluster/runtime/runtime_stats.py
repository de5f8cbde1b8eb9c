"""Measured activity of a replica: requests, tokens per second, share of time in all-reduces."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

WINDOW_S = 5.0
# A rate over a shorter span would be noise.
MIN_SPAN_S = 0.5


@dataclass(frozen=True, slots=True)
class RuntimeStats:
    """One reading. Memory is this rank's; everything else is the whole replica's."""

    requests_total: int
    in_flight: int
    output_tokens_total: int
    tokens_per_s: float
    """Over the last few seconds."""
    all_reduces_per_token: float | None
    """All-reduces of one decode step, over all stages; None before warm-up."""
    all_reduce_share: float | None
    """Fraction of recent decode time that the leader spent in all-reduces; None before the first decode."""
    memory_used_bytes: int
    cache_tokens_used: int
    cache_tokens_total: int


@dataclass(frozen=True, slots=True)
class _Step:
    ended_at_s: float
    duration_s: float
    output_tokens: int
    is_decode: bool
    all_reduce_s: float


class StepMeter:
    """Written by the thread that runs the steps; read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: deque[_Step] = deque()
        self._last_share: float | None = None
        self.requests_total = 0
        self.output_tokens_total = 0
        self.all_reduces_per_token: float | None = None

    def count_request(self) -> None:
        """Count a request that was accepted."""
        with self._lock:
            self.requests_total += 1

    def count_step(
        self, duration_s: float, output_tokens: int, *, is_decode: bool, all_reduce_s: float
    ) -> None:
        """Record a step that has just ended, and the tokens it produced."""
        now_s = time.monotonic()
        with self._lock:
            self.output_tokens_total += output_tokens
            self._steps.append(_Step(now_s, duration_s, output_tokens, is_decode, all_reduce_s))
            self._forget(now_s)
            decode_s = sum(step.duration_s for step in self._steps if step.is_decode)
            if decode_s:
                self._last_share = sum(step.all_reduce_s for step in self._steps if step.is_decode) / decode_s

    def tokens_per_s(self) -> float:
        """Return the output rate over the last WINDOW_S, from the start of the first step in it."""
        now_s = time.monotonic()
        with self._lock:
            self._forget(now_s)
            if not self._steps:
                return 0.0
            began_at_s = self._steps[0].ended_at_s - self._steps[0].duration_s
            return sum(step.output_tokens for step in self._steps) / max(now_s - began_at_s, MIN_SPAN_S)

    def all_reduce_share(self) -> float | None:
        """Return RuntimeStats.all_reduce_share; idle time does not reset it."""
        with self._lock:
            return self._last_share

    def _forget(self, now_s: float) -> None:
        while self._steps and now_s - self._steps[0].ended_at_s > WINDOW_S:
            self._steps.popleft()

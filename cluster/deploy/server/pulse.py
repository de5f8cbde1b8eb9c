"""Whether a server that took its first request still generates tokens, and what it measures of itself.

A server can answer /health while a rank of it is dead, so only tokens count: those of users, or else one that
is asked for every few seconds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from cluster.deploy.own_pause import OwnPause
from cluster.deploy.rank_report import EngineFigures
from cluster.deploy.server.calls import Background, ServerBusy
from cluster.engines.adapter import EngineMetrics

PROOF_EVERY_S = 5.0
_METRICS_EVERY_S = 1.0
_RETRY_S = 1.0
_MOST_FAILURES = 2
_RATE_OVER_S = 5.0
_LATE_S = 60.0
_SLOWEST_PREFILL_TOKENS_PER_S = 2000.0


def late_after_s(max_model_len: int) -> float:
    """Return after how many seconds without a token a server is given up.

    The longest prompt may hold up all other requests until it is processed, which is no fault.
    """
    return _LATE_S + max_model_len / _SLOWEST_PREFILL_TOKENS_PER_S


class Pulse:
    """Asks for metrics and, while no user's token is counted, for tokens. `beat` never waits."""

    def __init__(
        self, prove: Callable[[], None], measure: Callable[[], EngineMetrics | None], late_s: float
    ) -> None:
        self._proof = Background(prove, "proof")
        self._metrics = Background(measure, "metrics")
        self._late_s = late_s
        self._proven_at_s: float | None = None
        self._num_proofs = self._num_failures = 0
        self._try_after_s, self._last_error = 0.0, ""
        self._own_pause = OwnPause()
        self._last: EngineMetrics | None = None
        self._counts: deque[tuple[float, int]] = deque()

    def proven(self) -> None:
        """Record that a token was generated for a proof."""
        self._note_token(time.monotonic())
        self._num_proofs += 1

    def _note_token(self, now_s: float) -> None:
        self._proven_at_s, self._num_failures, self._last_error = now_s, 0, ""

    @property
    def waits_for(self) -> str:
        """What a server that listens still lacks; '' once a token was generated."""
        return "" if self._proven_at_s is not None else "waiting for its first token"

    def beat(self) -> str | None:
        """Take in what came and ask again; returns why the server must be given up, or None."""
        now_s, paused_s = time.monotonic(), self._own_pause.seconds()
        self._take_metrics(now_s)
        if now_s - self._metrics.started_at_s > _METRICS_EVERY_S:
            self._metrics.start()
        if self._proven_at_s is None:
            return None  # the first proof is the controller's
        self._proven_at_s += paused_s
        trouble = self._take_proof(now_s)
        silent_s = now_s - self._proven_at_s
        if silent_s > PROOF_EVERY_S and now_s > self._try_after_s:
            self._proof.start()
        if silent_s > self._late_s + PROOF_EVERY_S:
            last = f" ({self._last_error})" if self._last_error else ""
            return f"no token was generated for {silent_s:.0f} s, although one was asked for{last}"
        return trouble

    def _take_proof(self, now_s: float) -> str | None:
        """Return why the server must be given up; a server that is only busy gets until it is late."""
        taken = self._proof.take()
        if taken is None:
            return None
        error = taken[1]
        if error is None:
            self.proven()
            return None
        self._last_error, self._try_after_s = str(error), now_s + _RETRY_S
        self._num_failures += not isinstance(error, ServerBusy)
        return self._last_error if self._num_failures >= _MOST_FAILURES else None

    def _take_metrics(self, now_s: float) -> None:
        taken = self._metrics.take()
        if taken is None:
            return
        self._last = taken[0]
        if self._last is None or self._last.output_tokens_total is None:
            return
        count = max(0, int(self._last.output_tokens_total) - self._num_proofs)
        if self._counts and count > self._counts[-1][1] and self._proven_at_s is not None:
            self._note_token(now_s)
        self._counts.append((now_s, count))
        while now_s - self._counts[0][0] > _RATE_OVER_S:
            self._counts.popleft()

    def figures(self) -> EngineFigures:
        """Return what was measured; requests and tokens are those of users."""
        last = self._last
        return EngineFigures(
            requests_total=max(0, int((last and last.requests_total) or 0) - self._num_proofs),
            in_flight=int((last and last.running) or 0) + int((last and last.waiting) or 0),
            output_tokens_total=self._counts[-1][1] if self._counts else 0,
            tokens_per_s=self._tokens_per_s(),
            metrics=last,
            proven_age_s=None if self._proven_at_s is None else time.monotonic() - self._proven_at_s,
        )

    def _tokens_per_s(self) -> float:
        if len(self._counts) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._counts[0], self._counts[-1]
        return max(0, last - first) / (last_s - first_s) if last_s > first_s else 0.0

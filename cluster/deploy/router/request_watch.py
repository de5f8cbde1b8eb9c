"""Times one request on one replica, and counts its tokens, whatever engine answers."""

from __future__ import annotations

from collections.abc import Callable

from cluster.deploy.router.metrics import RouterMetrics


class RequestWatch:
    """From sending a request to a replica to the end of its answer. Times are of `clock`, in seconds."""

    def __init__(self, metrics: RouterMetrics, replica: str, clock: Callable[[], float]) -> None:
        self._metrics, self._replica, self._clock = metrics, replica, clock
        self._began_s = self._first_s = self._last_s = clock()
        self.num_tokens = 0
        metrics.request_began(replica)

    def prompt_tokens(self, count: int) -> None:
        """Count the tokens of its prompt."""
        self._metrics.prompt_tokens(self._replica, count)

    def token_came(self) -> None:
        """Count a token, or a piece of streamed text."""
        now_s, first = self._clock(), self.num_tokens == 0
        if first:
            self._first_s = now_s
        self._metrics.token_came(self._replica, now_s - self._last_s, first=first)
        self._last_s = now_s
        self.num_tokens += 1

    def tokens_were(self, total: int) -> None:
        """Correct the number of tokens to what the engine says of the whole answer."""
        if total > self.num_tokens:
            self._metrics.more_tokens(self._replica, total - self.num_tokens)
            self.num_tokens = total

    def finished(self, reason: str) -> None:
        """Record a complete answer."""
        self._metrics.request_finished(self._replica, reason, self._clock() - self._began_s)
        span_s = self._last_s - self._first_s
        if self.num_tokens > 1 and span_s > 0:
            self._metrics.tpot(self._replica, span_s / (self.num_tokens - 1))

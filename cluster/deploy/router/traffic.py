"""What users got from each replica, as seen at the router: counters, a rate, and recent latencies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cluster.deploy.served_meter import ServedMeter

_WINDOW_S = 60.0
_MOST_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class TrafficFigures:
    """Users' requests on one replica since its processes started; proofs of health are not among them."""

    requests_total: int = 0
    in_flight: int = 0
    output_tokens_total: int = 0
    """Of an engine server: by the answer's `usage` if it has one, else the pieces of text streamed."""
    tokens_per_s: float = 0.0
    """Over the last seconds. An answer that is not streamed counts when it ends."""
    ttft_s: float | None = None
    """Mean over the last minute, of streamed answers; None: there were none. So is tpot_s."""
    tpot_s: float | None = None
    """Time from the first to the last token over the tokens between them; mean of requests."""


class RecentMean:
    """The mean of what came in during the last minute."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: deque[tuple[float, float]] = deque(maxlen=_MOST_VALUES)

    def add(self, value: float) -> None:
        """Take in a value."""
        self._values.append((self._clock(), value))

    def mean(self) -> float | None:
        """Return the mean; None without a value."""
        oldest_s = self._clock() - _WINDOW_S
        while self._values and self._values[0][0] < oldest_s:
            self._values.popleft()
        if not self._values:
            return None
        return sum(value for _, value in self._values) / len(self._values)


class ReplicaTraffic:
    """The users' traffic of one replica."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.served = ServedMeter(clock)
        self.ttft_s, self.tpot_s = RecentMean(clock), RecentMean(clock)

    def figures(self, in_flight: int) -> TrafficFigures:
        """Return the traffic now."""
        return TrafficFigures(
            requests_total=self.served.requests_total,
            in_flight=in_flight,
            output_tokens_total=self.served.output_tokens_total,
            tokens_per_s=self.served.tokens_per_s(),
            ttft_s=self.ttft_s.mean(),
            tpot_s=self.tpot_s.mean(),
        )

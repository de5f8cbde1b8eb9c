"""Means and percentiles of what requests took, with the definitions of `vllm bench serve`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.load.result import Spread


@dataclass(frozen=True, slots=True)
class Answered:
    """What one request took, in seconds, from when it was sent."""

    ttft_s: float
    e2e_s: float
    """Until the last chunk with a token."""
    input_tokens: int
    output_tokens: int
    gaps_s: Sequence[float] = ()
    """Between the chunks of the answer."""

    @property
    def tpot_s(self) -> float | None:
        """Mean time per output token after the first; None for a single token."""
        return (self.e2e_s - self.ttft_s) / (self.output_tokens - 1) if self.output_tokens > 1 else None


def percentile(ascending: Sequence[float], percent: float) -> float:
    """Return a percentile of sorted values, between two of them by linear interpolation, as numpy does."""
    position = (len(ascending) - 1) * percent / 100
    below = math.floor(position)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (position - below)


def spread_of(values: Sequence[float], percents: Sequence[float] = ()) -> Spread | None:
    """Return mean and percentiles, those of `percents` too; None without values."""
    if not values:
        return None
    ascending = sorted(values)
    p50, p90, p99 = (percentile(ascending, percent) for percent in (50, 90, 99))
    others = [percent for percent in percents if percent not in (50, 90, 99)]
    more = {f"p{percent:g}": percentile(ascending, percent) for percent in others}
    return Spread(
        count=len(ascending),
        mean=math.fsum(ascending) / len(ascending),
        p50=p50,
        p90=p90,
        p99=p99,
        more=more,
    )

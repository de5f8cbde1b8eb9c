"""Time of a layout: each class of replicas is estimated on its own hardware, then combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.planner.cost import estimate
from cluster.planner.placement.classes import ReplicaClass
from cluster.planner.result import Band, Estimate
from cluster.planner.search.class_fits import ClassFit
from cluster.planner.search.fit import Fit
from cluster.planner.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Portion:
    """A number of replicas of one class."""

    of: ClassFit
    count: int

    @property
    def replicas(self) -> ReplicaClass:
        return self.of.replicas

    @property
    def fit(self) -> Fit:
        return self.of.fit


def estimate_together(portions: Sequence[Portion], traffic: Traffic) -> Estimate:
    """Predict the whole layout: throughputs add up, TTFT and TPOT are those of the slowest replicas."""
    total = sum(portion.count for portion in portions)
    return _together([_estimate_portion(portion, traffic, total) for portion in portions])


def _estimate_portion(portion: Portion, traffic: Traffic, total: int) -> Estimate:
    """Estimate one class's share; requests are spread evenly over all replicas."""
    assert portion.fit.memory is not None  # only what fits is timed
    if traffic.concurrency is not None:
        share = max(1, round(traffic.concurrency * portion.count / total))
        traffic = replace(traffic, concurrency=share)
    return estimate(portion.fit.memory, traffic, portion.count)


def _together(parts: Sequence[Estimate]) -> Estimate:
    if len(parts) == 1:
        return parts[0]
    slowest = max(parts, key=lambda part: part.tpot_s.value)
    ttft_s = max((part.ttft_s for part in parts), key=lambda band: band.value)
    throughputs = [part.throughput_tokens_per_s for part in parts]
    return replace(
        slowest,
        throughput_tokens_per_s=Band(
            value=sum(band.value for band in throughputs),
            low=sum(band.low for band in throughputs),
            high=sum(band.high for band in throughputs),
        ),
        ttft_s=ttft_s,
        request_s=ttft_s.value + slowest.request_s - slowest.ttft_s.value,
    )

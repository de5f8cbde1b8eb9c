"""Fit the planner's model of an all-reduce to measured times. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from cluster.calibration.result import ReduceTime

_LEAST_LATENCY_S = 1e-7


def fit_all_reduce(times: Sequence[ReduceTime], num_ranks: int) -> tuple[float, float, float]:
    """Return latency_s, bandwidth_bytes_per_s and the median relative error of the fit.

    The model is the planner's: seconds = latency + 2 (n - 1) / n x bytes / bandwidth. That bandwidth is what
    nccl-tests call bus bandwidth. Relative errors are minimized: small messages count as much as large ones.
    Raises ValueError where the times cannot be those of an all-reduce.
    """
    if len({time.message_bytes for time in times}) < 2 or min(time.seconds for time in times) <= 0:
        raise ValueError("fewer than two sizes, or a time of zero")
    latency_s, seconds_per_byte = _weighted_line(times)
    if latency_s < _LEAST_LATENCY_S:
        latency_s = _LEAST_LATENCY_S
        seconds_per_byte = _through(times, latency_s)
    if seconds_per_byte <= 0:
        raise ValueError("larger messages took no longer than small ones")
    errors = (abs((latency_s + seconds_per_byte * time.message_bytes) / time.seconds - 1) for time in times)
    bandwidth = 2 * (num_ranks - 1) / num_ranks / seconds_per_byte
    return latency_s, bandwidth, statistics.median(errors)


def _weighted_line(times: Sequence[ReduceTime]) -> tuple[float, float]:
    """Return intercept and slope that minimize the sum of squared relative errors."""
    ones = sum(1 / time.seconds**2 for time in times)
    sizes = sum(time.message_bytes / time.seconds**2 for time in times)
    squares = sum((time.message_bytes / time.seconds) ** 2 for time in times)
    inverse = sum(1 / time.seconds for time in times)
    relative = sum(time.message_bytes / time.seconds for time in times)
    determinant = ones * squares - sizes**2
    if determinant <= 0:
        return 0.0, relative / squares
    return (inverse * squares - relative * sizes) / determinant, (
        ones * relative - sizes * inverse
    ) / determinant


def _through(times: Sequence[ReduceTime], latency_s: float) -> float:
    """Return the slope for a given intercept."""
    squares = sum((time.message_bytes / time.seconds) ** 2 for time in times)
    return sum(time.message_bytes * (time.seconds - latency_s) / time.seconds**2 for time in times) / squares

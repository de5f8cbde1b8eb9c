"""Requests and tokens of users, counted where they go out."""

from __future__ import annotations

import pytest

from cluster.deploy.served_meter import ServedMeter


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = 10.0

    def __call__(self) -> float:
        return self.now_s


def test_nothing_asked_is_nothing_served() -> None:
    meter = ServedMeter()
    assert (meter.requests_total, meter.output_tokens_total, meter.tokens_per_s()) == (0, 0, 0.0)


def test_the_rate_is_of_the_last_seconds_and_the_totals_of_all() -> None:
    clock = Clock()
    meter = ServedMeter(clock)
    meter.count_request()
    for _ in range(400):
        meter.count_token()
        clock.now_s += 0.01
    assert meter.tokens_per_s() == pytest.approx(100, rel=0.05)
    clock.now_s += 5.2
    assert meter.tokens_per_s() == 0.0
    assert (meter.requests_total, meter.output_tokens_total) == (1, 400)


def test_a_burst_is_not_a_rate_beyond_all_bounds() -> None:
    clock = Clock()
    meter = ServedMeter(clock)
    for _ in range(10):
        meter.count_token()
    assert meter.tokens_per_s() == 20.0

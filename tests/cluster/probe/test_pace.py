"""How long a reading may take before it is late, and how slow calls rest."""

from __future__ import annotations

import pytest

from cluster.probe import slow_calls
from cluster.probe.pace import Pace
from cluster.probe.slow_calls import SlowCalls


def test_a_slow_driver_is_late_once_and_then_usual() -> None:
    pace = Pace(3.5)
    pace.read(0.0)
    assert pace.allowed_s(1.0) == 3.5
    pace.read(5.0)
    pace.read(6.0)
    assert pace.allowed_s(10.0) == 7.5
    assert pace.allowed_s(700.0) == 3.5


def test_the_time_without_a_process_is_not_the_driver_s() -> None:
    pace = Pace(3.5)
    pace.read(0.0)
    pace.began()
    pace.read(60.0)
    assert pace.allowed_s(60.0) == 3.5


def test_a_call_that_is_slow_twice_rests_ten_times_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(slow_calls.time, "monotonic", lambda: now_s)
    calls, key = SlowCalls(), (3, "nvmlDeviceGetPowerUsage", ())
    now_s = 5.0
    calls.took(key, began_s=0.0)
    assert calls.reason(key) is None
    now_s = 10.0
    calls.took(key, began_s=5.0)
    assert calls.reason(key) == "nvmlDeviceGetPowerUsage took 5.0 s, so it is asked only every 50 s"
    assert calls.reason((4, "nvmlDeviceGetPowerUsage", ())) is None
    now_s = 61.0
    assert calls.reason(key) is None
    calls.took(key, began_s=60.9)
    now_s = 70.0
    calls.took(key, began_s=65.0)
    assert calls.reason(key) is None, "one slow answer after a fast one is forgiven again"

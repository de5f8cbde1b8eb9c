"""A driver that takes 50 ms for every call is asked for what matters first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.detail import NodeDetail
from cluster.probe import process
from cluster.probe.facts import FactReader
from cluster.probe.nvml import Device
from cluster.probe.processes import ProcessReader
from cluster.probe.query import Answer
from cluster.probe.readings import GpuSweep

GPU = Device(0, "a handle")


class Driver:
    """Answers 7 to every question, after a while of its own clock."""

    module = SimpleNamespace()

    def __init__(self, call_s: float) -> None:
        self.now_s, self._call_s = 0.0, call_s
        self.calls: Counter[str] = Counter()

    def clock(self) -> float:
        return self.now_s

    def ask(self, gpu_index: int | None, function: str, *args: Any) -> Answer:
        self.now_s += self._call_s
        self.calls[function] += 1
        if function.endswith(("RunningProcesses_v3", "RunningProcesses_v2")):
            return Answer([])
        number = function in {
            "nvmlDeviceGetClockInfo",
            "nvmlDeviceGetTemperatureV",
            "nvmlDeviceGetPowerUsage",
        }
        return Answer(7) if number else Answer(None, "no data yet")


def sweeps(driver: Driver, number: int) -> list[float | None]:
    """Sweep each second; returns the clocks that were read."""
    sweep = GpuSweep(ProcessReader(), clock=driver.clock)
    clocks = []
    for second in range(number):
        driver.now_s = max(driver.now_s, float(second))
        clocks.append(sweep.read(driver, GPU, "uuid").sm_clock_mhz)  # type: ignore[arg-type]
    return clocks


def test_a_fast_driver_is_asked_everything_every_second() -> None:
    driver = Driver(call_s=0.0001)
    assert sweeps(driver, 10) == [7.0] * 10
    assert driver.calls["nvmlDeviceGetPowerUsage"] == driver.calls["nvmlDeviceGetFanSpeed"] == 10


def test_a_slow_driver_is_asked_every_second_only_for_what_matters() -> None:
    driver = Driver(call_s=0.05)
    assert sweeps(driver, 60) == [7.0] * 60
    assert driver.calls["nvmlDeviceGetPowerUsage"] == 60
    assert driver.calls["nvmlDeviceGetFanSpeed"] == 2


def test_facts_take_two_seconds_of_an_inventory_and_the_rest_comes_with_the_next() -> None:
    driver = Driver(call_s=0.5)
    facts = FactReader(clock=driver.clock)
    reasons = []
    for _ in range(2):
        facts.begin()
        for number in range(3):
            read = facts.of_gpu(driver, GPU, f"uuid-{number}", "product")  # type: ignore[arg-type]
            reasons.append(read.absent["max_pcie_width"])
    not_yet = "not asked yet, because the driver answers slowly"
    # What has no data yet is not kept, so it is asked again.
    assert reasons == ["no data yet", not_yet, not_yet] * 2


class SlowReader:
    """Its GPUs take two seconds each."""

    def __init__(self, clock: list[float]) -> None:
        self._clock = clock

    def detail_steps(self) -> Iterator[NodeDetail | None]:
        for _ in range(3):
            self._clock[0] += 2.0
            yield None
        yield NodeDetail(node_id="n", taken_at_s=0.0)


def test_rounds_of_slow_figures_take_a_fifth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    details = process._Details(5.0, SlowReader(clock))  # type: ignore[arg-type]
    complete_at_s = []
    for _ in range(100):
        clock[0] += 1.0
        if details.read_until(clock[0] + 0.9) is not None:
            complete_at_s.append(clock[0])
    first, second, *_ = complete_at_s
    # Three GPUs are three steps after three sweeps; then they rest for four times their six seconds.
    assert first == 100.0 + 3 * 3.0 + 1.0
    assert second == pytest.approx(first + 4 * 6.0 + 3 * 3.0 + 1.0, abs=1.0)

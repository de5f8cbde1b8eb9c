"""Xids as they happen: from which GPU, how many are kept, and what ends the watching."""

from __future__ import annotations

import ctypes
from collections import deque
from types import SimpleNamespace
from typing import Any

from cluster.probe.nvml import Device
from cluster.probe.query import TIMED_OUT, Answer
from cluster.probe.xid import XidWatch

XID, CLOCK_CHANGE = 0x8, 0x10
UNITS = [ctypes.c_int(number) for number in range(3)]
GPUS = [Device(index, ctypes.pointer(unit)) for index, unit in enumerate(UNITS)]


class Driver:
    """Answers the event calls; `events` are (GPU index, type, code)."""

    def __init__(self) -> None:
        self.events: deque[tuple[int, int, int]] = deque()
        self.registered: list[int] = []
        self.refused: dict[int, str] = {}

    def ask(self, gpu_index: int | None, function: str, *args: Any) -> Answer:
        if function == "nvmlEventSetCreate":
            return Answer("a set")
        if function == "nvmlDeviceRegisterEvents":
            assert gpu_index is not None
            self.registered.append(gpu_index)
            return Answer(None, self.refused.get(gpu_index))
        assert (function, args) == ("nvmlEventSetWait_v2", ("a set", 0))
        if not self.events:
            return Answer(None, TIMED_OUT)
        index, kind, code = self.events.popleft()
        # The driver hands out a pointer of its own to the same GPU.
        return Answer(SimpleNamespace(device=ctypes.pointer(UNITS[index]), eventType=kind, eventData=code))


def codes(watch: XidWatch, index: int) -> list[int]:
    return [xid.code for xid in watch.of(GPUS[index])[0]]


def test_an_xid_is_that_of_its_gpu_with_its_time() -> None:
    driver, watch = Driver(), XidWatch(clock=lambda: 123.0)
    watch.look(driver, GPUS)  # type: ignore[arg-type]
    driver.events += [(1, XID, 94), (2, CLOCK_CHANGE, 5), (0, XID, 13), (1, XID, 48)]
    watch.look(driver, GPUS)  # type: ignore[arg-type]
    assert [codes(watch, index) for index in range(3)] == [[13], [94, 48], []]
    assert watch.of(GPUS[1])[0][0].at_s == 123.0
    assert driver.registered == [0, 1, 2]


def test_of_a_flood_the_latest_twenty_are_kept_and_one_look_ends() -> None:
    driver, watch = Driver(), XidWatch()
    watch.look(driver, GPUS)  # type: ignore[arg-type]
    driver.events += [(0, XID, number) for number in range(1000)]
    watch.look(driver, GPUS)  # type: ignore[arg-type]
    assert codes(watch, 0) == list(range(180, 200))
    assert driver.events


def test_a_gpu_that_cannot_be_watched_says_why_and_the_others_are() -> None:
    driver, watch = Driver(), XidWatch()
    driver.refused[1] = "not supported by this GPU"
    driver.events.append((0, XID, 79))
    watch.look(driver, GPUS)  # type: ignore[arg-type]
    assert watch.of(GPUS[1]) == ((), "not supported by this GPU")
    assert codes(watch, 0) == [79]
    assert watch.of(GPUS[2]) == ((), None)


def test_after_the_driver_came_back_gpus_are_watched_again_and_xids_stay() -> None:
    before, after, watch = Driver(), Driver(), XidWatch()
    before.events.append((0, XID, 79))
    watch.look(before, GPUS)  # type: ignore[arg-type]
    after.events.append((0, XID, 13))
    watch.look(after, GPUS)  # type: ignore[arg-type]
    assert after.registered == [0, 1, 2]
    assert codes(watch, 0) == [79, 13]

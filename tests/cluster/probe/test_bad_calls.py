"""Calls that end the process, are slow or hang: the call is left out, and GPUs keep what they are."""

from __future__ import annotations

import os
import signal

import pytest

from cluster.probe.local import read_seen
from cluster.telemetry import NodeReading
from tests.cluster.probe.conftest import Control, FakeNvml


def is_sound(reading: NodeReading) -> bool:
    return reading.state == "ok" and all(gpu.error is None for gpu in reading.gpus)


@pytest.mark.parametrize(
    ("line", "ending"),
    [
        (
            "exit nvmlDeviceGetRemappedRows * 1",
            "the probe ended with status 1 in nvmlDeviceGetRemappedRows on GPU 0",
        ),
        (
            "crash nvmlDeviceGetGpuFabricInfoV * 0",
            "the probe crashed (SIGSEGV) in nvmlDeviceGetGpuFabricInfoV on GPU 0",
        ),
    ],
)
def test_a_call_that_ends_the_process_on_every_gpu_costs_no_gpu(  # type: ignore[no-untyped-def]
    watch, control: Control, line: str, ending: str
) -> None:
    control.say(line)
    _, watcher = watch(control=control.path)
    watcher.wait_for(lambda node, reading: reading.reason == ending)
    node, reading = watcher.wait_for(lambda node, reading: reading.state == "ok")
    assert is_sound(reading) and len(reading.gpus) == 8
    assert all(gpu.healthy and gpu.memory_free_bytes for gpu in node.gpus)


def test_a_figure_whose_call_aborts_is_absent_with_the_reason(watch, control: Control) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=3, control=control.path)
    watcher.wait_for(lambda node, reading: is_sound(reading))
    control.say("abort nvmlDeviceGetPowerUsage 1")
    watcher.forget()
    _, reading = watcher.wait_for(lambda node, reading: is_sound(reading) and reading.gpus[1].power_w is None)
    assert [gpu.power_w for gpu in reading.gpus] == [123.456, None, 123.456]
    assert reading.gpus[1].temperature_c == 51.0
    assert reading.gpus[1].absent["power_w"] == (
        "left out for 10 minutes: the probe crashed (SIGABRT) in nvmlDeviceGetPowerUsage on GPU 1"
    )


def test_a_once_only_read_gets_past_such_a_call_too(fake_nvml: FakeNvml, control: Control) -> None:
    control.say("exit nvmlDeviceGetRemappedRows * 1", "abort nvmlDeviceGetUtilizationRates 1")
    seen = read_seen(timeout_s=40.0, env=fake_nvml(gpus=4, control=control.path))
    assert all(gpu.healthy for gpu in seen.node.gpus) and is_sound(seen.reading)
    assert [gpu.utilization_percent for gpu in seen.reading.gpus] == [40.0, None, 42.0, 43.0]
    assert seen.detail is not None


def test_a_process_that_somebody_kills_blames_no_call(watch) -> None:  # type: ignore[no-untyped-def]
    probe, watcher = watch(gpus=2)
    for _ in range(2):
        watcher.wait_for(lambda node, reading: is_sound(reading))
        watcher.forget()
        os.kill(probe.pid, signal.SIGKILL)
        watcher.wait_for(lambda node, reading: reading.reason == "the probe was killed (SIGKILL)")
        watcher.forget()
    _, reading = watcher.wait_for(lambda node, reading: reading.state == "ok")
    assert is_sound(reading)
    # The fake has no fan; nothing else is left out.
    assert reading.gpus[0].absent.keys() == {"fan_percent"}


def test_a_gpu_that_hangs_keeps_its_identity(watch, control: Control) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=4, control=control.path)
    before, _ = watcher.wait_for(lambda node, reading: is_sound(reading))
    control.say("hang nvmlDeviceGetPowerUsage 2")
    watcher.forget()
    node, reading = watcher.wait_for(lambda node, reading: reading.state == "ok" and not is_sound(reading))
    gone, was = node.gpus[2], before.gpus[2]
    assert "nvmlDeviceGetPowerUsage on GPU 2 did not return" in (gone.unhealthy_reason or "")
    identity = ("uuid", "type", "memory_total_bytes", "nvlink_island", "pci_bus_id", "compute_capability")
    assert [getattr(gone, name) for name in identity] == [getattr(was, name) for name in identity]
    assert reading.gpus[2].uuid == was.uuid and reading.gpus[2].error is not None
    assert {gpu.nvlink_island for gpu in node.gpus} == {"nvlink-0"}


def test_many_slow_calls_are_no_hang_and_have_no_culprit(watch, control: Control) -> None:  # type: ignore[no-untyped-def]
    """A sweep takes longer than a call may."""
    control.say("slow * * 40")
    _, watcher = watch(gpus=4, control=control.path, deadline_s=1.0)
    for _ in range(2):
        watcher.wait_for(lambda node, reading: reading.state == "ok")
        assert all(reading.state in ("ok", "stale") for _, reading in watcher.seen)
        assert not any("has not returned" in (reading.reason or "") for _, reading in watcher.seen)
        assert all(gpu.error is None for _, reading in watcher.seen for gpu in reading.gpus)
        watcher.forget()


def test_a_call_that_takes_seconds_delays_the_others_only_now_and_then(watch, control: Control) -> None:  # type: ignore[no-untyped-def]
    control.say("slow nvmlDeviceGetPowerUsage 1 1200")
    _, watcher = watch(gpus=3, control=control.path, deadline_s=10.0)
    _, reading = watcher.wait_for(
        lambda node, reading: reading.state == "ok" and "power_w" in reading.gpus[1].absent
    )
    assert (
        "nvmlDeviceGetPowerUsage took 1.2 s, so it is asked only every 12 s"
        in reading.gpus[1].absent["power_w"]
    )
    assert is_sound(reading) and reading.gpus[2].power_w == 123.456


def test_a_gpu_lost_while_it_runs_is_in_the_inventory_soon(watch, control: Control) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=2, control=control.path, inventory_interval_s=3600.0)
    watcher.wait_for(lambda node, reading: is_sound(reading))
    control.say("error * 1 15")
    watcher.forget()
    node, _ = watcher.wait_for(lambda node, reading: not node.gpus[1].healthy)
    assert (node.gpus[1].uuid, node.gpus[1].nvlink_island) == ("GPU-fake-1", "nvlink-0")
    assert node.gpus[0].healthy

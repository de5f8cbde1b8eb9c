"""The probe's readings of GPUs that are busy, only partly supported, or broken."""

from __future__ import annotations

import getpass
import os

from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB, MIB
from tests.cluster.probe.conftest import Watcher


def first_good(watcher: Watcher) -> NodeReading:
    return watcher.wait_for(lambda node, reading: reading.state == "ok")[1]


def test_every_figure_arrives_in_base_units(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=2)
    reading = first_good(watcher)
    assert reading.node_id == "node-id"
    assert not reading.simulated
    assert reading.gpus[1] == GpuReading(
        uuid="GPU-fake-1",
        memory_total_bytes=80 * GIB,
        memory_used_bytes=2 * GIB,
        memory_free_bytes=77 * GIB,
        utilization_percent=41.0,
        temperature_c=51.0,
        power_w=123.456,
        power_limit_w=400.0,
        energy_j=987654321.001,
        memory_busy_percent=5.0,
        encoder_percent=2.0,
        decoder_percent=3.0,
        memory_temperature_c=61.0,
        performance_state=0,
        sm_clock_mhz=1276.0,
        memory_clock_mhz=1593.0,
        throttle_reasons=(),
        absent={"fan_percent": "not supported by this GPU"},
    )


def test_an_old_driver_names_its_throttle_reasons_too(watch, control) -> None:  # type: ignore[no-untyped-def]
    control.say("set throttle_reasons 1 2208", "set sm_clock 1 345")
    _, watcher = watch(gpus=2, driver="old", control=control.path)
    cool, throttled = first_good(watcher).gpus
    assert cool.throttle_reasons == ()
    assert throttled.throttle_reasons == ("sw_thermal", "hw_power_brake", "0x800")
    assert throttled.sm_clock_mhz == 345.0


def test_a_figure_that_changes_is_followed(watch, control) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=1, control=control.path)
    first_good(watcher)
    control.say("set fan 0 77", "set memory_temperature 0 -1", "set performance_state 0 32")
    _, reading = watcher.wait_for(lambda node, reading: any(gpu.fan_percent == 77.0 for gpu in reading.gpus))
    gpu = reading.gpus[0]
    assert gpu.absent == {
        "memory_temperature_c": "not supported by this GPU",
        "performance_state": "the driver does not know it",
    }


def test_placeholder_values_of_the_driver_are_not_readings(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=3, placeholders=2)
    gpu = first_good(watcher).gpus[2]
    assert (gpu.power_w, gpu.temperature_c) == (None, None)
    assert set(gpu.absent) == {"power_w", "temperature_c", "fan_percent"}


def test_a_mig_slice_has_no_utilization_of_its_own(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=1, mig=0)
    gpu = first_good(watcher).gpus[0]
    assert gpu.uuid == "MIG-fake-0-0"
    assert gpu.utilization_percent is None
    assert gpu.absent["utilization_percent"] == "not supported by this GPU"
    # It shares the chip, so it is as hot and as fast.
    assert (gpu.temperature_c, gpu.sm_clock_mhz, gpu.memory_temperature_c) == (50.0, 1275.0, 60.0)


def test_a_lost_gpu_is_an_error_of_that_gpu(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=4, lost=3)
    *others, lost = first_good(watcher).gpus
    assert "lost" in (lost.error or "")
    assert lost.memory_used_bytes is None
    assert [gpu.error for gpu in others] == [None] * 3


def test_garbled_process_lists_are_dropped_with_a_note(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=5, garbled=4)
    gpu = first_good(watcher).gpus[4]
    assert gpu.processes == ()
    assert "garbled" in gpu.absent["processes"]


def test_a_process_has_its_memory_its_user_its_command_and_its_use(watch, control) -> None:  # type: ignore[no-untyped-def]
    control.say("set process_sm 0 37", "set process_mib 0 300")
    _, watcher = watch(gpus=1, pid=os.getpid(), control=control.path)
    (process,) = first_good(watcher).gpus[0].processes
    assert (process.pid, process.memory_bytes, process.sm_percent) == (os.getpid(), 300 * MIB, 37.0)
    if not process.other_namespace:
        assert process.user == getpass.getuser()
        assert "python" in (process.command or "")


def test_a_process_that_did_not_run_used_nothing(watch, control) -> None:  # type: ignore[no-untyped-def]
    control.say("set process_sm 0 0", "set process_sm 1 -1")
    _, watcher = watch(gpus=2, pid=os.getpid(), control=control.path)
    idle, unknown = first_good(watcher).gpus
    assert [process.sm_percent for process in idle.processes] == [0.0]
    assert [process.sm_percent for process in unknown.processes] == [None]

"""The probe's readings of GPUs that are busy, only partly supported, or broken."""

from __future__ import annotations

import os

from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB
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
    )


def test_placeholder_values_of_the_driver_are_not_readings(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=3, placeholders=2)
    gpu = first_good(watcher).gpus[2]
    assert (gpu.power_w, gpu.temperature_c) == (None, None)
    assert set(gpu.absent) == {"power_w", "temperature_c"}


def test_a_mig_slice_has_no_utilization_of_its_own(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=1, mig=0)
    gpu = first_good(watcher).gpus[0]
    assert gpu.uuid == "MIG-fake-0-0"
    assert gpu.utilization_percent is None
    assert gpu.absent["utilization_percent"] == "not supported by this GPU"


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


def test_processes_hold_memory_under_their_pid(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(gpus=1, pid=os.getpid())
    (process,) = first_good(watcher).gpus[0].processes
    assert (process.pid, process.memory_bytes) == (os.getpid(), 2 * GIB)

"""The probe's parent: hangs are reported, hung and crashed processes are replaced, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.probe.watch import ProbeProcess
from tests.cluster.probe.conftest import PATIENCE_S, FakeNvml, Watcher


def wait_until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until_s, "never came true"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_hanging_call_is_reported_and_the_other_gpus_are_still_read(watch) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(hang="nvmlDeviceGetPowerUsage:2")
    _, hung = watcher.wait_for(lambda node, reading: reading.state == "hung")
    assert "nvmlDeviceGetPowerUsage on GPU 2 has not returned for" in (hung.reason or "")
    node, again = watcher.wait_for(lambda node, reading: reading.state == "ok")
    assert "did not return" in (again.gpus[2].error or "")
    assert [gpu.power_w for gpu in again.gpus if gpu.error is None] == [123.456] * 7
    assert node.gpus[2].unhealthy_reason == again.gpus[2].error


def test_a_driver_that_hangs_as_a_whole_stays_hung_with_its_age(watch) -> None:  # type: ignore[no-untyped-def]
    probe, watcher = watch(hang="nvmlDeviceGetCount_v2:-1")
    node, hung = watcher.wait_for(lambda node, reading: reading.state == "hung")
    assert "nvmlDeviceGetCount has not returned for" in (hung.reason or "")
    assert node.error == hung.reason
    first_age = hung.reason
    _, later = watcher.wait_for(lambda node, reading: reading.state == "hung" and reading.reason != first_age)
    assert later.taken_at_s == hung.taken_at_s
    assert probe.latest()[1].state == "hung"


def test_the_probe_restarts_after_a_crash(watch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, watcher = watch(crash="nvmlDeviceGetTemperature:1", crash_once=tmp_path / "crashed")
    _, crashed = watcher.wait_for(lambda node, reading: "SIGSEGV" in (reading.reason or ""))
    assert crashed.state == "stale"
    assert "nvmlDeviceGetTemperature on GPU 1" in (crashed.reason or "")
    _, again = watcher.wait_for(lambda node, reading: reading.state == "ok")
    assert all(gpu.error is None for gpu in again.gpus)


def test_a_driver_that_goes_away_and_comes_back(watch, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    away = tmp_path / "away"
    _, watcher = watch(away=away)
    watcher.wait_for(lambda node, reading: reading.state == "ok")
    away.touch()
    node, _ = watcher.wait_for(lambda node, reading: node.error is not None and reading.state == "lost")
    assert "not loaded" in (node.error or "")
    assert len(node.gpus) == 8
    assert not any(gpu.healthy for gpu in node.gpus)
    away.unlink()
    watcher.forget()
    node, _ = watcher.wait_for(lambda node, reading: reading.state == "ok")
    assert node.error is None
    assert all(gpu.healthy for gpu in node.gpus)


def test_a_gpu_that_crashes_the_probe_twice_is_left_alone(watch) -> None:  # type: ignore[no-untyped-def]
    """It does so in a call without which nothing is known of it."""
    _, watcher = watch(crash="nvmlDeviceGetHandleByIndex_v2:1")
    _, again = watcher.wait_for(lambda node, reading: reading.state == "ok")
    assert "crashed" in (again.gpus[1].error or "")
    assert [gpu.temperature_c for gpu in again.gpus if gpu.error is None] == [50, 52, 53, 54, 55, 56, 57]


def test_before_the_first_reading_it_reports_that_it_is_waiting(fake_nvml: FakeNvml) -> None:
    probe = ProbeProcess("node-id", "node-name", env=fake_nvml())
    node, reading, _ = probe.latest()
    assert (node.gpus, reading.state) == ((), "stale")
    assert "waiting" in (reading.reason or "")
    probe.close()


def test_closing_ends_the_process(watch) -> None:  # type: ignore[no-untyped-def]
    probe, watcher = watch()
    watcher.wait_for(lambda node, reading: reading.state == "ok")
    pid = probe.pid
    assert pid is not None
    assert is_running(pid)
    probe.close()
    probe.close()
    wait_until(lambda: not is_running(pid))


def test_the_process_does_not_outlive_a_killed_parent(fake_nvml: FakeNvml) -> None:
    program = (
        "import time\n"
        "from cluster.probe.watch import ProbeProcess\n"
        "probe = ProbeProcess('n', 'n')\n"
        "probe.start()\n"
        "assert probe.wait_first(60)\n"
        "print(probe.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).parents[3]
    env = {**fake_nvml(hang="nvmlDeviceGetPowerUsage:2"), "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not is_running(pid))


def test_what_the_library_prints_does_not_garble_the_readings(fake_nvml: FakeNvml) -> None:
    watcher = Watcher()
    probe = ProbeProcess("n", "n", interval_s=0.1, listener=watcher.listen, env=fake_nvml(prints="noise"))
    probe.start()
    try:
        watcher.wait_for(lambda node, reading: reading.state == "ok")
    finally:
        probe.close()


def test_a_probe_that_cannot_even_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    watcher = Watcher()
    probe = ProbeProcess("n", "n", listener=watcher.listen)
    probe.start()
    try:
        node, reading = watcher.wait_for(lambda node, reading: "cannot run" in (reading.reason or ""))
        assert reading.state == "stale"
        assert node.error == reading.reason
    finally:
        probe.close()

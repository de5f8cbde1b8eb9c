"""Measures the probe and nvitop in one process each; run by bench_probe where the fake driver is found."""

from __future__ import annotations

import os
import time
from pathlib import Path

from nvitop import Device

from cluster.probe.node import NodeReader
from cluster.probe.watch import ProbeProcess
from tests.benchmarks.timing import median_s, paired_ratio

_WATCHED_S = 30.0
_RUNS = 101
_MIB = 2**20
_SWEPT = (
    "memory_info",
    "gpu_utilization",
    "memory_utilization",
    "encoder_utilization",
    "decoder_utilization",
    "temperature",
    "power_usage",
    "power_limit",
    "fan_speed",
    "performance_state",
    "sm_clock",
    "memory_clock",
)


def _nvitop_sweep(devices: list[Device]) -> None:
    """Read with nvitop what one sweep of the probe reads, processes included."""
    for device in devices:
        with device.oneshot():
            for name in _SWEPT:
                getattr(device, name)()
            for process in device.processes().values():
                process.username()
                process.command()


def _nvitop_snapshot(devices: list[Device]) -> None:
    for device in devices:
        device.as_snapshot()
        device.processes()


def main() -> None:
    """Print one line per figure."""
    reader, devices = NodeReader("node", "node"), Device.all()
    reader.read_inventory()
    gpus = len(devices)
    ratio, ours, theirs = paired_ratio(reader.read_now, lambda: _nvitop_sweep(devices), _RUNS)
    print(f"{gpus} GPUs: sweep {ours * 1e3:.2f} ms, nvitop's {theirs * 1e3:.2f} ms: {ratio:.2f} x")
    ratio, ours, theirs = paired_ratio(reader.read_now, lambda: _nvitop_snapshot(devices), _RUNS)
    print(f"{gpus} GPUs: sweep {ours * 1e3:.2f} ms, nvitop's snapshot {theirs * 1e3:.2f} ms: x {ratio:.2f}")
    print(f"{gpus} GPUs: inventory {median_s(reader.read_inventory) * 1e3:.2f} ms")
    print(
        f"{gpus} GPUs: slow figures {median_s(reader.read_detail) * 1e3:.2f} ms (a driver adds 40 ms a GPU)"
    )
    _watch(gpus)


def _watch(gpus: int) -> None:
    probe = ProbeProcess("node", "node")
    probe.start()
    probe.wait_first(60)
    time.sleep(3.0)
    before_s, used_s = time.monotonic(), _cpu_s(probe.pid)
    time.sleep(_WATCHED_S)
    share = (_cpu_s(probe.pid) - used_s) / (time.monotonic() - before_s)
    print(f"{gpus} GPUs: probe at 1 Hz {share:.2%} of a core, {_resident_bytes(probe.pid) / _MIB:.0f} MiB")
    probe.close()


def _cpu_s(pid: int | None) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int | None) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()

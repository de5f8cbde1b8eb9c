"""Measures the probe and nvitop in one process each; run by bench_probe where the fake driver is found."""

from __future__ import annotations

import os
import time
from functools import partial
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
    for what, read in (("the same figures", _nvitop_sweep), ("snapshot and processes", _nvitop_snapshot)):
        ratio, ours_s, theirs_s = paired_ratio(reader.read_now, partial(read, devices), _RUNS)
        print(f"{gpus} GPUs: a sweep takes {ratio:.2f} of nvitop's {what}", end=" ")
        print(f"({ours_s * 1e3:.2f} ms, {theirs_s * 1e3:.2f} ms)")
    # A real driver measures PCIe throughput for another 40 ms a GPU.
    for what, look in (("inventory", reader.read_inventory), ("slow figures", reader.read_detail)):
        print(f"{gpus} GPUs: {what} {median_s(look) * 1e3:.2f} ms")
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

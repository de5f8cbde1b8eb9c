"""Every figure of the probe beside what nvidia-smi says of the same GPU at the same time."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.telemetry import GpuReading
from cluster.units import GIB, MIB
from tests.gpu.conftest import (
    Probe,
    check_between,
    nvidia_smi,
    smi_rows,
    this_machine,
    topology_cells,
    whole_gpus,
)

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
Row = dict[str, str | None]


def test_the_same_gpus_with_the_same_identity() -> None:
    fields = ("index", "uuid", "pci.bus_id", "compute_cap", "memory.total")
    rows: dict[str, Row] = {row["uuid"] or "": row for row in smi_rows("gpu", *fields)}
    gpus = whole_gpus(this_machine().nodes[0])
    assert {gpu.uuid for gpu in gpus} <= rows.keys()
    for gpu in gpus:
        row = rows[gpu.uuid]
        assert str(gpu.index) == row["index"]
        assert gpu.pci_bus_id == row["pci.bus_id"]
        assert gpu.compute_capability is not None
        assert ".".join(map(str, gpu.compute_capability)) == row["compute_cap"]
        total = row["memory.total"]
        assert (gpu.memory_total_bytes is None) == (total is None)
        if total is not None and gpu.memory_total_bytes is not None:
            assert round(gpu.memory_total_bytes / MIB) == int(total)


def test_the_catalog_knows_these_gpus() -> None:
    """A type that stays a product name has no catalog entry: planning would know nothing of it."""
    names = {row["name"] for row in smi_rows("gpu", "name")}
    unknown = {gpu.type for gpu in this_machine().nodes[0].gpus} & names
    assert not unknown


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("memory.total", "memory_total_bytes"),
        ("memory.used", "memory_used_bytes"),
        ("memory.free", "memory_free_bytes"),
    ],
)
def test_memory(probe: Probe, field: str, attribute: str) -> None:
    def mebibytes(gpu: GpuReading) -> float | None:
        size = getattr(gpu, attribute)
        return None if size is None else size / MIB

    # nvidia-smi rounds to whole MiB.
    check_between(probe, field, mebibytes, tolerance=1.0)


def test_utilization(probe: Probe) -> None:
    check_between(probe, "utilization.gpu", lambda gpu: gpu.utilization_percent, tolerance=10.0)


def test_temperature(probe: Probe) -> None:
    check_between(probe, "temperature.gpu", lambda gpu: gpu.temperature_c, tolerance=1.0)


def test_power(probe: Probe) -> None:
    check_between(probe, "power.draw", lambda gpu: gpu.power_w, tolerance=15.0)


def test_power_limit(probe: Probe) -> None:
    check_between(probe, "enforced.power.limit", lambda gpu: gpu.power_limit_w, tolerance=0.01)


def test_a_process_that_takes_memory_shows_and_goes(probe: Probe) -> None:
    """One GiB through the CUDA driver: used rises by it and a context; processes are nvidia-smi's."""
    before = first_gpu(probe)
    holder = subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.hold_memory", str(GIB)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": before.uuid},
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline().strip() == "held", "CUDA gave no memory"
        during = first_gpu(probe)
        listed = {
            int(row["pid"] or 0)
            for row in smi_rows("compute-apps", "gpu_uuid", "pid")
            if row["gpu_uuid"] == during.uuid
        }
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
    risen = (during.memory_used_bytes or 0) - (before.memory_used_bytes or 0)
    assert GIB <= risen < 3 * GIB
    assert {process.pid for process in during.processes} >= listed
    mine = [process for process in during.processes if process.pid == holder.pid]
    if mine:
        assert (mine[0].name or "").startswith("python")
        assert "tests.gpu.hold_memory" in (mine[0].command or "")
        assert mine[0].user == getpass.getuser()
        assert mine[0].memory_bytes is None or mine[0].memory_bytes >= GIB
    after = first_gpu(probe)
    assert abs((after.memory_used_bytes or 0) - (before.memory_used_bytes or 0)) < 64 * MIB


def first_gpu(probe: Probe) -> GpuReading:
    node, reading = probe()
    index = next(number for number, gpu in enumerate(node.gpus) if gpu.index == 0)
    return reading.gpus[index]


def test_nvlink_islands() -> None:
    """Pairs that `nvidia-smi topo -m` joins by NV# are in one island, all others are not."""
    gpus = {gpu.index: gpu for gpu in whole_gpus(this_machine().nodes[0])}
    if len(gpus) < 2:
        pytest.skip("one GPU has no peer")
    for a, b, cell in topology_cells(nvidia_smi("topo", "-m")):
        islands = (gpus[a].nvlink_island, gpus[b].nvlink_island)
        joined = islands[0] is not None and islands[0] == islands[1]
        assert joined == cell.startswith("NV"), (a, b, cell, islands)

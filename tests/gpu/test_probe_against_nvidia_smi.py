"""Every figure of the probe beside what nvidia-smi says of the same GPU at the same time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.detail import NodeDetail
from cluster.inventory import Gpu, Node
from cluster.probe.watch import ProbeProcess
from cluster.telemetry import GpuReading, NodeReading
from cluster.units import GIB, MIB
from tests.gpu.conftest import nvidia_smi, smi_rows, this_machine

pytestmark = pytest.mark.gpu

PATIENCE_S = 60.0
ROOT = Path(__file__).parents[2]
Row = dict[str, str | None]


@pytest.fixture
def probe() -> Iterator[Callable[[], tuple[Node, NodeReading]]]:
    """Give a function that waits for the next reading of a running probe."""
    news = threading.Condition()
    count = 0

    def listen(node: Node, reading: NodeReading, detail: NodeDetail | None) -> None:
        nonlocal count
        with news:
            count += reading.state == "ok"
            news.notify_all()

    process = ProbeProcess("here", "here", interval_s=0.2, inventory_interval_s=1.0, listener=listen)
    process.start()

    def next_reading() -> tuple[Node, NodeReading]:
        with news:
            # The reading after the next began surely after this call.
            seen = count
            assert news.wait_for(lambda: count >= seen + 2, PATIENCE_S), process.latest()[1]
        return process.latest()[:2]

    yield next_reading
    process.close()


def by_uuid(field: str) -> dict[str, str | None]:
    return {row["uuid"] or "": row[field] for row in smi_rows("gpu", "uuid", field)}


def whole_gpus(node: Node) -> list[Gpu]:
    return [gpu for gpu in node.gpus if gpu.mig_parent_uuid is None]


def check_between(
    next_reading: Callable[[], tuple[Node, NodeReading]],
    field: str,
    value: Callable[[GpuReading], float | None],
    tolerance: float,
) -> None:
    """Read nvidia-smi, the probe, nvidia-smi: the probe's value lies between, give or take."""
    before, (node, reading), after = by_uuid(field), next_reading(), by_uuid(field)
    shown = {gpu.uuid: gpu for gpu in reading.gpus}
    for gpu in whole_gpus(node):
        ends = [before[gpu.uuid], after[gpu.uuid]]
        ours = value(shown[gpu.uuid])
        if None in ends:
            assert ours is None
            continue
        low, high = sorted(float(end or "nan") for end in ends)
        assert ours is not None, shown[gpu.uuid].absent
        assert low - tolerance <= ours <= high + tolerance, (field, low, ours, high)


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
def test_memory(probe: Callable[[], tuple[Node, NodeReading]], field: str, attribute: str) -> None:
    def mebibytes(gpu: GpuReading) -> float | None:
        size = getattr(gpu, attribute)
        return None if size is None else size / MIB

    # nvidia-smi rounds to whole MiB.
    check_between(probe, field, mebibytes, tolerance=1.0)


def test_utilization(probe: Callable[[], tuple[Node, NodeReading]]) -> None:
    check_between(probe, "utilization.gpu", lambda gpu: gpu.utilization_percent, tolerance=10.0)


def test_temperature(probe: Callable[[], tuple[Node, NodeReading]]) -> None:
    check_between(probe, "temperature.gpu", lambda gpu: gpu.temperature_c, tolerance=1.0)


def test_power(probe: Callable[[], tuple[Node, NodeReading]]) -> None:
    check_between(probe, "power.draw", lambda gpu: gpu.power_w, tolerance=15.0)


def test_power_limit(probe: Callable[[], tuple[Node, NodeReading]]) -> None:
    check_between(probe, "enforced.power.limit", lambda gpu: gpu.power_limit_w, tolerance=0.01)


def test_a_process_that_takes_memory_shows_and_goes(probe: Callable[[], tuple[Node, NodeReading]]) -> None:
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
        assert mine[0].memory_bytes is None or mine[0].memory_bytes >= GIB
    after = first_gpu(probe)
    assert abs((after.memory_used_bytes or 0) - (before.memory_used_bytes or 0)) < 64 * MIB


def first_gpu(probe: Callable[[], tuple[Node, NodeReading]]) -> GpuReading:
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


def topology_cells(printed: str) -> Iterator[tuple[int, int, str]]:
    # The heading is underlined.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed)
    lines = [line.split() for line in plain.splitlines()]
    columns = next(line for line in lines if line[:1] == ["GPU0"] or "GPU0" in line[:2])
    gpus = [name for name in columns if name.startswith("GPU") and name[3:].isdigit()]
    for line in lines:
        if line and line[0] in gpus and len(line) > len(gpus) and line != columns:
            for column, cell in zip(gpus, line[1:], strict=False):
                if column != line[0]:
                    yield int(line[0][3:]), int(column[3:]), cell

"""Tests on a real NVIDIA GPU; without one each says why it is skipped."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from cluster.detail import NodeDetail
from cluster.inventory import Cluster, Gpu, Node
from cluster.probe.local import read_cluster
from cluster.probe.watch import ProbeProcess
from cluster.telemetry import GpuReading, NodeReading

_SMI_S = 60
PATIENCE_S = 60.0

Probe = Callable[[], tuple[Node, NodeReading]]
"""Waits for the next reading of a running probe."""


@cache
def this_machine() -> Cluster:
    """Read this machine's GPUs once."""
    return read_cluster(timeout_s=30.0)


def nvidia_smi(*arguments: str) -> str:
    """Return what nvidia-smi prints."""
    done = subprocess.run(
        ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=_SMI_S, check=True
    )
    return done.stdout


def smi_rows(query: str, *fields: str) -> list[dict[str, str | None]]:
    """Return the rows of an nvidia-smi query; what it has no value for is None."""
    printed = nvidia_smi(f"--query-{query}={','.join(fields)}", "--format=csv,noheader,nounits")
    rows = [[cell.strip() for cell in line.split(",")] for line in printed.splitlines() if line.strip()]
    return [dict(zip(fields, map(_known, row), strict=True)) for row in rows]


def _known(cell: str) -> str | None:
    return None if cell.startswith("[") or cell in {"N/A", ""} else cell


@pytest.fixture(autouse=True)
def needs_a_gpu() -> None:
    """Skip where NVML shows no GPU or nvidia-smi is missing."""
    cluster = this_machine()
    if cluster.source != "nvml":
        pytest.skip(f"no NVIDIA GPU here: {cluster.nodes[0].error}")
    if shutil.which("nvidia-smi") is None:
        pytest.skip("nvidia-smi, which the readings are compared with, is not on the PATH")


@pytest.fixture
def probe() -> Iterator[Probe]:
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
    next_reading: Probe,
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

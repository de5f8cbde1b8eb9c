"""The probe process reads the whole machine: GPUs of either vendor, the host, the ports."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.probe.child import ProbeChild
from cluster.probe.lines import LeftOut, ProbeLine, ProbeOrder
from cluster.probe.machine import HOST, PORTS
from tests.cluster.probe.amd_tree import AmdTree
from tests.cluster.probe.conftest import PATIENCE_S, FakeNvml
from tests.cluster.probe.test_ports import infiniband


def read_once(root: Path, env: Mapping[str, str] | None = None, **options: Any) -> ProbeLine:
    """Return all that a probe process says of a machine, in one line."""
    order = ProbeOrder(
        node_id="id", name="gpu-a", parent_pid=0, mark_fd=0, once=True, root=str(root), **options
    )
    child, seen, until_s = ProbeChild(order, env or os.environ), ProbeLine(), time.monotonic() + PATIENCE_S
    try:
        while not child.ended and time.monotonic() < until_s:
            for line in child.lines(0.2):
                seen = seen.model_copy(update={name: part for name, part in line if part is not None})
    finally:
        child.close()
    return seen


@pytest.fixture(scope="module")
def amd_line(tmp_path_factory: pytest.TempPathFactory) -> ProbeLine:
    """What is read of a machine with AMD GPUs and an InfiniBand port, on which there is no NVML."""
    root = tmp_path_factory.mktemp("amd")
    AmdTree(root).add(8)
    infiniband(root)
    return read_once(root)


def test_amd_gpus_are_read_where_there_is_no_nvml(amd_line: ProbeLine) -> None:
    assert amd_line.node is not None
    assert amd_line.reading is not None
    assert len(amd_line.node.gpus) == 8
    assert amd_line.node.error is None
    assert amd_line.reading.state == "ok"
    assert [gpu.temperature_c for gpu in amd_line.reading.gpus] == [61.0] * 8


def test_host_figures_come_with_each_reading(amd_line: ProbeLine) -> None:
    assert amd_line.reading is not None
    host = amd_line.reading.host
    assert host is not None
    assert host.num_cpus == os.cpu_count()
    assert host.memory_total_bytes
    assert "cpu_percent" in host.absent


def test_ports_come_with_the_slow_figures_and_their_rate_with_the_node(amd_line: ProbeLine) -> None:
    assert amd_line.detail is not None
    assert amd_line.node is not None
    assert [port.name for port in amd_line.detail.ports] == ["mlx5_0/1"]
    assert len(amd_line.detail.gpus) == 8
    assert amd_line.node.network_bytes_per_s == 50e9


def test_nvidia_gpus_come_first_where_nvml_answers(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    AmdTree(tmp_path).add(8)
    infiniband(tmp_path)
    line = read_once(tmp_path, fake_nvml(gpus=2))
    assert line.node is not None
    assert line.detail is not None
    assert [gpu.vendor for gpu in line.node.gpus] == ["nvidia"] * 2
    assert len(line.detail.ports) == 1


def test_a_machine_without_any_gpu_has_its_host_and_ports(tmp_path: Path) -> None:
    infiniband(tmp_path)
    line = read_once(tmp_path)
    assert line.node is not None
    assert line.reading is not None
    assert line.detail is not None
    assert "no NVIDIA driver library" in (line.node.error or "")
    assert line.reading.host is not None
    assert (line.detail.gpus, len(line.detail.ports)) == ((), 1)
    assert "gpus" in line.detail.absent


def test_what_hung_before_is_left_out_with_its_reason(tmp_path: Path) -> None:
    AmdTree(tmp_path).add(2)
    infiniband(tmp_path)
    calls = tuple(LeftOut(function=name, reason="it hung") for name in (HOST, PORTS))
    line = read_once(tmp_path, left_out=calls, skipped={1: "it hung too"})
    assert line.node is not None
    assert line.reading is not None
    assert line.detail is not None
    assert line.reading.host is not None
    assert set(line.reading.host.absent.values()) == {"it hung"}
    assert (line.detail.ports, line.detail.absent["ports"]) == ((), "it hung")
    assert [gpu.unhealthy_reason for gpu in line.node.gpus] == [None, "it hung too"]

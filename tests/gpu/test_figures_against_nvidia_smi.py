"""Clocks, limits, errors, links and paths beside what nvidia-smi says of the same GPU."""

from __future__ import annotations

import re
from functools import cache
from operator import attrgetter

import pytest

from cluster.detail import GpuDetail
from cluster.probe.local import read_seen
from cluster.probe.readings import throttle_reasons
from tests.gpu.conftest import (
    Probe,
    by_uuid,
    check_between,
    nvidia_smi,
    smi_rows,
    this_machine,
    topology_cells,
    whole_gpus,
)

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(
    ("field", "attribute", "tolerance"),
    [
        ("utilization.memory", "memory_busy_percent", 10.0),
        ("clocks.sm", "sm_clock_mhz", 300.0),
        ("clocks.mem", "memory_clock_mhz", 0.0),
        ("fan.speed", "fan_percent", 2.0),
        ("temperature.memory", "memory_temperature_c", 2.0),
    ],
)
def test_figures_of_the_chip(probe: Probe, field: str, attribute: str, tolerance: float) -> None:
    check_between(probe, field, lambda gpu: getattr(gpu, attribute), tolerance)


def test_performance_state(probe: Probe) -> None:
    before, (node, reading), after = by_uuid("pstate"), probe(), by_uuid("pstate")
    shown = {gpu.uuid: gpu.performance_state for gpu in reading.gpus}
    for gpu in whole_gpus(node):
        assert f"P{shown[gpu.uuid]}" in {before[gpu.uuid], after[gpu.uuid]}


def test_throttle_reasons(probe: Probe) -> None:
    field = "clocks_event_reasons.active"
    before, (node, reading), after = by_uuid(field), probe(), by_uuid(field)
    shown = {gpu.uuid: gpu.throttle_reasons for gpu in reading.gpus}
    for gpu in whole_gpus(node):
        masks = [mask for mask in (before[gpu.uuid], after[gpu.uuid]) if mask]
        assert shown[gpu.uuid] in [throttle_reasons(int(mask, 16)) for mask in masks]


def smi_number(cell: str | None) -> float | None:
    return None if cell is None else float(cell)


@pytest.mark.parametrize(
    ("field", "fact"),
    [
        ("clocks.max.sm", "max_sm_clock_mhz"),
        ("clocks.max.mem", "max_memory_clock_mhz"),
        ("power.default_limit", "default_power_limit_w"),
        ("power.max_limit", "max_power_limit_w"),
        ("pcie.link.gen.max", "max_pcie_generation"),
        ("pcie.link.width.max", "max_pcie_width"),
    ],
)
def test_facts(field: str, fact: str) -> None:
    rows = by_uuid(field)
    for gpu in whole_gpus(this_machine().nodes[0]):
        assert gpu.facts is not None
        assert getattr(gpu.facts, fact) == smi_number(rows[gpu.uuid]), gpu.facts.absent


def test_versions() -> None:
    facts = this_machine().nodes[0].facts
    assert facts is not None
    assert facts.driver_version == smi_rows("gpu", "driver_version")[0]["driver_version"]
    assert f"CUDA Version: {facts.cuda_version}" in re.sub(" +", " ", nvidia_smi())


@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("pcie.link.width.current", "pcie_width"),
        ("ecc.errors.corrected.volatile.total", "ecc.volatile_corrected"),
        ("ecc.errors.uncorrected.volatile.total", "ecc.volatile_uncorrected"),
        ("ecc.errors.corrected.aggregate.total", "ecc.aggregate_corrected"),
        ("ecc.errors.uncorrected.aggregate.total", "ecc.aggregate_uncorrected"),
    ],
)
def test_slow_figures(field: str, attribute: str) -> None:
    rows, details = by_uuid(field), slow_figures()
    for gpu in whole_gpus(this_machine().nodes[0]):
        shown = details[gpu.uuid]
        assert attrgetter(attribute)(shown) == smi_number(rows[gpu.uuid]), shown.absent


def test_remapped_rows() -> None:
    names = ("correctable", "uncorrectable", "pending", "failure")
    fields = [f"remapped_rows.{name}" for name in names]
    rows = {row["gpu_uuid"]: row for row in smi_rows("remapped-rows", "gpu_uuid", *fields)}
    for uuid, shown in slow_figures().items():
        if uuid in rows and rows[uuid][fields[0]] is not None:
            ours = [shown.remapped_corrected, shown.remapped_uncorrected, shown.remap_pending]
            told = [rows[uuid][field] for field in fields]
            assert [*ours, shown.remap_failed] == [
                int(told[0] or 0),
                int(told[1] or 0),
                told[2] in {"Yes", "1"},
                told[3] in {"Yes", "1"},
            ]


def test_nvlink_states_and_speeds() -> None:
    """`nvidia-smi nvlink -s` names each link of each GPU with its speed, or as inactive."""
    printed, details = nvidia_smi("nvlink", "-s"), slow_figures()
    for block in re.split(r"^(?=GPU \d+:)", printed, flags=re.MULTILINE)[1:]:
        uuid = re.search(r"UUID: ([\w-]+)", block)
        if uuid is None or uuid[1] not in details:
            continue
        told = {int(n): rest for n, rest in re.findall(r"Link (\d+): (.+)", block)}
        for link in details[uuid[1]].links:
            rest = told.get(link.link, "<inactive>")
            assert link.active == ("inactive" not in rest), (link, rest)
            if link.active and link.bytes_per_s:
                assert f"{link.bytes_per_s / 1e9:.3f}".rstrip("0").rstrip(".") in rest


@cache
def slow_figures() -> dict[str, GpuDetail]:
    detail = read_seen(timeout_s=30.0).detail
    assert detail is not None
    return {gpu.uuid: gpu for gpu in detail.gpus}


def test_paths_are_those_of_nvidia_smi() -> None:
    facts = this_machine().nodes[0].facts
    assert facts is not None
    for a, b, cell in topology_cells(nvidia_smi("topo", "-m")):
        if {f"GPU{a}", f"GPU{b}"} <= set(facts.devices):
            row = facts.paths[facts.devices.index(f"GPU{a}")]
            assert row[facts.devices.index(f"GPU{b}")] == cell

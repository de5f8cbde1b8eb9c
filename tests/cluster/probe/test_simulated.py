"""Simulated readings: marked as such, following what is deployed, and always possible values."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog.gpus import find_gpu
from cluster.probe.simulated import SimulatedGpus
from cluster.telemetry import GpuReading
from cluster.units import GIB

A100 = find_gpu("A100-80GB")


def gpus(count: int = 4, seed: int = 0, node_id: str = "node") -> SimulatedGpus:
    return SimulatedGpus(A100, count, node_id, seed, clock=lambda: 0.0)


def watch(simulated: SimulatedGpus, until_s: int, start_s: int = 0) -> list[GpuReading]:
    return [simulated.reading(float(second)).gpus[0] for second in range(start_s, until_s + 1)]


def test_everything_is_marked_simulated_and_looks_like_the_type() -> None:
    node, reading = gpus().node("node-1"), gpus().reading()
    assert reading.simulated
    assert [gpu.type for gpu in node.gpus] == ["A100-80GB"] * 4
    assert {gpu.nvlink_island for gpu in node.gpus} == {"nvlink-0"}
    assert [gpu.uuid for gpu in node.gpus] == [gpu.uuid for gpu in reading.gpus]
    assert len({gpu.uuid for gpu in (*node.gpus, *gpus(node_id="other").node("node-1").gpus)}) == 8


def test_idle_gpus_do_nothing() -> None:
    for gpu in gpus().reading().gpus:
        assert gpu.utilization_percent == 0.0
        assert gpu.processes == ()
        assert gpu.memory_used_bytes is not None
        assert gpu.memory_used_bytes < GIB


def test_memory_follows_loading_and_is_freed_again() -> None:
    simulated, used = gpus(), []
    for step in range(5):
        simulated.set_load(0, 40 * GIB, step / 4, 0.0, "rank 0")
        used.append(simulated.reading(float(step)).gpus[0].memory_used_bytes or 0)
    assert used == sorted(used)
    assert used[-1] - used[0] == 40 * GIB
    (process,) = simulated.reading(5.0).gpus[0].processes
    assert (process.name, process.memory_bytes) == ("rank 0", 40 * GIB)
    assert simulated.node("n").gpus[0].memory_free_bytes == simulated.reading(5.0).gpus[0].memory_free_bytes
    simulated.set_load(0, 0, 0.0, 0.0, None)
    idle = simulated.reading(6.0).gpus[0]
    assert (idle.memory_used_bytes, idle.processes) == (used[0], ())


def test_a_load_on_one_gpu_leaves_the_others_alone() -> None:
    simulated = gpus()
    simulated.set_load(2, 40 * GIB, 1.0, 1.0, "rank 0")
    busy = [gpu.utilization_percent for gpu in simulated.reading(1.0).gpus]
    assert busy[2] is not None
    assert busy[2] > 90.0
    assert busy[:2] + busy[3:] == [0.0] * 3


def test_power_and_temperature_rise_and_fall_smoothly() -> None:
    simulated = gpus()
    simulated.set_load(0, 40 * GIB, 1.0, 1.0, "rank 0")
    rising = watch(simulated, 200)
    simulated.set_load(0, 0, 0.0, 0.0, None)
    falling = watch(simulated, 600, start_s=201)
    for readings in (rising, falling):
        degrees = [gpu.temperature_c or 0.0 for gpu in readings]
        assert max(abs(b - a) for a, b in pairwise(degrees)) <= 2.0
    assert (rising[-1].temperature_c or 0) > (rising[0].temperature_c or 0) + 20
    assert (falling[-1].temperature_c or 0) < (rising[0].temperature_c or 0) + 2
    assert (rising[10].power_w or 0) > 3 * (rising[0].power_w or 0)


def test_the_same_seed_and_times_give_the_same_readings() -> None:
    one, other, different = gpus(seed=7), gpus(seed=7), gpus(seed=8)
    for simulated in (one, other, different):
        simulated.set_load(0, 40 * GIB, 1.0, 0.6, "rank 0")
    assert watch(one, 30) == watch(other, 30)
    assert watch(one, 60, start_s=31) != watch(different, 60, start_s=31)


@given(
    planned=st.integers(-1, 200 * GIB),
    loading=st.floats(-1, 2),
    busy=st.floats(-1, 2),
    times=st.lists(st.floats(0, 1e9), min_size=1, max_size=5).map(sorted),
)
def test_no_load_shows_the_impossible(planned: int, loading: float, busy: float, times: list[float]) -> None:
    simulated = gpus(count=1)
    simulated.set_load(0, planned, loading, busy, "x")
    for now_s in times:
        gpu = simulated.reading(now_s).gpus[0]
        assert gpu.memory_used_bytes is not None
        assert gpu.memory_free_bytes is not None
        assert gpu.memory_used_bytes + gpu.memory_free_bytes == gpu.memory_total_bytes
        assert gpu.memory_free_bytes >= 0
        assert 0.0 <= (gpu.utilization_percent or 0.0) <= 100.0
        assert 0.0 < (gpu.power_w or 0.0) <= (gpu.power_limit_w or 0.0)
        assert 20.0 <= (gpu.temperature_c or 0.0) <= 90.0


def test_an_unknown_power_limit_leaves_power_absent_with_its_reason() -> None:
    gpu = SimulatedGpus(replace(A100, power_limit_w=None), 1, "node").reading().gpus[0]
    assert (gpu.power_w, gpu.power_limit_w) == (None, None)
    assert {"power_w", "power_limit_w", "energy_j"} <= set(gpu.absent)


def test_every_absent_figure_has_its_reason() -> None:
    simulated = gpus()
    shown = (*simulated.reading().gpus, *simulated.detail().gpus, simulated.reading().host)
    for figures in (*shown, *(gpu.facts for gpu in simulated.node("n").gpus)):
        assert figures is not None
        missing = {name for name, value in figures if value is None and name != "error"}
        assert missing <= figures.absent.keys()


def test_facts_and_slow_figures_follow_the_type() -> None:
    simulated = gpus(count=4)
    gpu, detail = simulated.node("n").gpus[0], simulated.detail().gpus[0]
    assert gpu.facts is not None
    assert gpu.facts.num_nvlinks == len(detail.links) == 12
    assert sum(link.bytes_per_s or 0 for link in detail.links) == A100.nvlink_bytes_per_s
    assert (detail.pcie_generation, gpu.facts.max_pcie_generation) == (4, 4)
    alone = gpus(count=1)
    assert alone.detail().gpus[0].links == ()


def test_the_matrix_shows_links_within_an_island_and_sockets_beyond() -> None:
    spec = replace(A100, nvlink_topology="bridge", nvlink_domain_gpus=2)
    facts = SimulatedGpus(spec, 4, "node").node("n").facts
    assert facts is not None
    assert facts.devices == ("GPU0", "GPU1", "GPU2", "GPU3")
    assert facts.paths[0] == ("X", "NV12", "SYS", "SYS")
    assert facts.numa_nodes == (0, 0, 1, 1)


def test_slow_figures_stay_the_same_for_five_seconds() -> None:
    simulated = gpus()
    first = simulated.detail(100.0)
    assert simulated.detail(104.9) is first
    assert simulated.detail(105.0) is not first


@pytest.mark.parametrize(
    ("topology", "size", "islands"),
    [
        ("none", 1, [None, None, None, None, None]),
        ("bridge", 2, ["nvlink-0", "nvlink-0", "nvlink-1", "nvlink-1", None]),
        ("nvswitch", 8, ["nvlink-0"] * 5),
    ],
)
def test_islands_follow_the_type(topology: str, size: int, islands: list[str | None]) -> None:
    spec = replace(A100, nvlink_topology=topology, nvlink_domain_gpus=size)  # type: ignore[arg-type]
    node = SimulatedGpus(spec, 5, "node").node("node-1")
    assert [gpu.nvlink_island for gpu in node.gpus] == islands

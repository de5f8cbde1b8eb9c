"""The planner's model of an all-reduce, fitted to made times."""

from __future__ import annotations

import random

import pytest

from cluster.calibration.fit import fit_all_reduce
from cluster.calibration.result import ReduceTime
from cluster.catalog.gpus import find_gpu
from cluster.inventory import MeasuredLink
from cluster.planner.cost.collective import all_reduce_time_s, link_for
from cluster.planner.replica import ReplicaLinks

SIZES = [4096 * 4**power for power in range(9)]


def made(latency_s: float, bandwidth: float, ranks: int, noise: float = 0.0) -> list[ReduceTime]:
    drawn = random.Random(7)
    return [
        ReduceTime(
            message_bytes=size,
            seconds=(latency_s + 2 * (ranks - 1) / ranks * size / bandwidth)
            * (1 + noise * drawn.uniform(-1, 1)),
        )
        for size in SIZES
    ]


@pytest.mark.parametrize(
    ("latency_s", "bandwidth", "ranks"), [(2e-5, 3.5e11, 8), (6e-5, 4e10, 16), (1e-3, 5e8, 2)]
)
def test_exact_times_give_their_model_back(latency_s: float, bandwidth: float, ranks: int) -> None:
    found = fit_all_reduce(made(latency_s, bandwidth, ranks), ranks)
    assert found == pytest.approx((latency_s, bandwidth, 0.0), rel=1e-6, abs=1e-9)


def test_noise_moves_the_fit_by_less_than_itself() -> None:
    latency_s, bandwidth, error = fit_all_reduce(made(2e-5, 3.5e11, 8, noise=0.1), 8)
    assert latency_s == pytest.approx(2e-5, rel=0.1) and bandwidth == pytest.approx(3.5e11, rel=0.1)
    assert 0 < error < 0.1


def test_a_latency_is_never_negative() -> None:
    times = [ReduceTime(message_bytes=size, seconds=size**1.2 / 1e9) for size in SIZES]
    latency_s, bandwidth, _ = fit_all_reduce(times, 2)
    assert latency_s > 0 and bandwidth > 0


@pytest.mark.parametrize(
    "times",
    [
        [ReduceTime(message_bytes=4096, seconds=1e-5)],
        [ReduceTime(message_bytes=4096, seconds=0.0), ReduceTime(message_bytes=8192, seconds=1e-5)],
        [ReduceTime(message_bytes=4096, seconds=1e-4), ReduceTime(message_bytes=2**28, seconds=1e-6)],
    ],
)
def test_times_that_are_none_of_an_all_reduce(times: list[ReduceTime]) -> None:
    with pytest.raises(ValueError, match=r"sizes|longer"):
        fit_all_reduce(times, 2)


def test_the_planner_reads_a_fitted_link_as_it_was_measured() -> None:
    """One definition of bandwidth: what was measured at a size is what a plan takes for it."""
    times = made(3e-5, 2e10, 4)
    latency_s, bandwidth, _ = fit_all_reduce(times, 4)
    measured = MeasuredLink(
        scope="node",
        num_ranks=4,
        latency_s=latency_s,
        bandwidth_bytes_per_s=bandwidth,
        kind="pcie",
        gpu_type="L4",
        library="nccl",
    )
    link = link_for("pcie", 4, find_gpu("L4"), ReplicaLinks(tp_link="pcie", measured=(measured,)))
    for time in times:
        assert all_reduce_time_s(time.message_bytes, 4, link) == pytest.approx(time.seconds)

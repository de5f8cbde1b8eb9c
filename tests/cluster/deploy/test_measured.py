"""What was measured of a deployment, with a reason for each figure that is missing."""

from __future__ import annotations

import pytest

from cluster.deploy.measured import facts_of, measured_of
from cluster.deploy.rank_report import EngineFigures, RankReport, RankStep
from cluster.deploy.status import Measured, ReplicaStatus
from cluster.engines.startup import StartupFacts
from cluster.units import GIB

FIGURES = set(Measured.model_fields) - {"absent"}


def running(facts: StartupFacts | None = None, **figures: object) -> RankReport:
    return RankReport(RankStep.RUNNING, facts=facts, figures=EngineFigures(**figures))  # type: ignore[arg-type]


def replica(number: int = 0, **fields: object) -> ReplicaStatus:
    return ReplicaStatus.model_validate({"replica": number, "ready": True, **fields})


def server(replicas: list[ReplicaStatus], *reports: RankReport) -> Measured:
    return measured_of(replicas, reports, is_server=True, simulated=False)


def test_two_nodes_of_a_replica_are_one_engine() -> None:
    leader = running(StartupFacts(weights_bytes=10, kv_cache_tokens=900, kv_cache_bytes=70))
    follower = running(StartupFacts(weights_bytes=12, kv_cache_tokens=880, kv_cache_bytes=60))
    assert facts_of([leader, follower]) == StartupFacts(
        weights_bytes=12, kv_cache_tokens=880, kv_cache_bytes=60
    )
    assert facts_of([running(), running()]) is None


def test_the_fullest_rank_and_the_smallest_cache_of_all_replicas_count() -> None:
    facts = StartupFacts(
        weights_bytes=8 * GIB, activation_bytes=GIB, kv_cache_tokens=1000, max_concurrency=3.9
    )
    other = facts.model_copy(update={"weights_bytes": 9 * GIB, "kv_cache_tokens": 990})
    measured = server([replica(0, startup=facts), replica(1, startup=other)])
    assert (measured.weights_bytes, measured.kv_cache_tokens) == (9 * GIB, 990)
    assert (measured.activation_bytes, measured.max_concurrency) == (GIB, 3.9)
    assert measured.absent["cuda_graph_bytes"] == "the engine did not log it"


def test_a_starting_engine_may_still_log_it() -> None:
    measured = server([ReplicaStatus(replica=0, ready=False)])
    assert measured.absent["weights_bytes"] == "the engine has not logged it yet"


def test_memory_is_that_of_the_fullest_gpu_of_all_processes() -> None:
    first = running(memory_by_gpu={"GPU-0": 5 * GIB, "GPU-1": 7 * GIB})
    assert server([replica()], first, running(memory_by_gpu={"GPU-2": 6 * GIB})).total_bytes == 7 * GIB
    without = server([replica()], running())
    assert without.total_bytes is None and "NVML" in without.absent["total_bytes"]


def test_traffic_adds_up_and_latencies_are_means_by_tokens() -> None:
    busy = replica(0, tokens_per_s=300.0, ttft_s=0.1, tpot_s=0.010)
    idle = replica(1, tokens_per_s=100.0, ttft_s=0.5, tpot_s=0.030)
    silent = replica(2)
    measured = server([busy, idle, silent])
    assert measured.throughput_tokens_per_s == 400
    assert measured.ttft_s == pytest.approx(0.2)
    assert measured.tpot_s == pytest.approx(0.015)


def test_latencies_of_the_last_minute_outlive_the_rate() -> None:
    measured = server([replica(0, ttft_s=0.1), replica(1, ttft_s=0.3)])
    assert measured.ttft_s == pytest.approx(0.2)
    assert measured.throughput_tokens_per_s is None
    assert measured.absent["throughput_tokens_per_s"] == "no user traffic now"


def test_the_builtin_engine_has_its_allocator_and_says_what_it_lacks() -> None:
    ranks = [running(memory_used_bytes=3 * GIB), running(memory_used_bytes=4 * GIB)]
    measured = measured_of([replica(tokens_per_s=9.0)], ranks, is_server=False, simulated=False)
    assert (measured.total_bytes, measured.throughput_tokens_per_s) == (4 * GIB, 9.0)
    assert measured.absent["cuda_graph_bytes"] == "the built-in engine has no CUDA graphs"
    assert measured.absent["activation_bytes"] == "the built-in engine does not measure it"


def test_bytes_of_a_stand_in_on_the_cpu_are_not_those_of_a_gpu() -> None:
    measured = measured_of(
        [replica(tokens_per_s=9.0)], [running(memory_used_bytes=GIB)], is_server=False, simulated=True
    )
    assert measured.total_bytes is None and "simulated" in measured.absent["total_bytes"]
    assert measured.throughput_tokens_per_s == 9.0


@pytest.mark.parametrize("is_server", [True, False])
@pytest.mark.parametrize("simulated", [True, False])
def test_every_figure_is_a_value_or_a_reason(is_server: bool, simulated: bool) -> None:
    measured = measured_of([], [], is_server=is_server, simulated=simulated)
    for name in FIGURES:
        assert (getattr(measured, name) is None) == bool(measured.absent.get(name)), name


def test_a_size_that_the_log_rounds_to_nothing_is_not_measured() -> None:
    measured = server([replica(0, startup=StartupFacts(weights_bytes=0, cuda_graph_bytes=0))])
    assert measured.weights_bytes is None and "0.00 GiB" in measured.absent["weights_bytes"]
    # An engine without graphs says so in its log.
    assert measured.cuda_graph_bytes == 0

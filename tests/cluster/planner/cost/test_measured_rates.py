"""Rates that the user's own GPUs achieved replace the catalog's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.catalog.gpus import find_gpu
from cluster.cluster_spec import parse_cluster_spec
from cluster.inventory import Cluster, MeasuredRate
from cluster.planner.cost.rates import make_rates
from tests.cluster.planner.ask import LLAMA_8B, ask, best

H100 = find_gpu("H100")


def measured(rate: MeasuredRate) -> Cluster:
    return parse_cluster_spec("1xH100").model_copy(update={"measured_rates": (rate,)})


def speed(cluster: Cluster | str) -> float:
    estimate = best(ask(LLAMA_8B, cluster, concurrency=1)).estimate
    assert estimate is not None
    return estimate.tpot_s.value


def test_the_cost_model_divides_by_what_was_measured() -> None:
    from cluster.catalog.engine_catalog import engine_timing
    from cluster.catalog.timing_spec import load_timing

    timing = load_timing()
    measured = MeasuredRate(gpu_type="H100", memory_bytes_per_s=2.5e12, flops_per_s={"bf16": 5e14})
    own = replace(H100, measured=measured)
    rates = make_rates(own, engine_timing("vllm", "0.20.0"), timing)
    usual = make_rates(H100, engine_timing("vllm", "0.20.0"), timing)
    engine = engine_timing("vllm", "0.20.0")
    assert rates.weights_bytes_per_s == pytest.approx(2.5e12 * engine.bandwidth_factor)
    assert rates.flops_per_s["bf16"] == pytest.approx(5e14 * engine.flops_factor)
    assert rates.flops_per_s["fp8"] == usual.flops_per_s["fp8"]


def test_a_slow_machine_is_planned_as_slow_and_says_so() -> None:
    slow = measured(MeasuredRate(gpu_type="H100", memory_bytes_per_s=1.2e12))
    assert speed(slow) > 1.5 * speed("1xH100")
    assert any("measured on this cluster" in note for note in best(ask(LLAMA_8B, slow)).notes)


def test_what_was_measured_on_other_gpus_changes_nothing() -> None:
    other = measured(MeasuredRate(gpu_type="A100-80GB", memory_bytes_per_s=1e12))
    assert speed(other) == speed("1xH100")


def test_a_rate_of_nothing_is_no_rate() -> None:
    for rate in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="memory_bytes_per_s"):
            MeasuredRate(gpu_type="H100", memory_bytes_per_s=rate)

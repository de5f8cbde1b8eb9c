"""The error of each figure, where predicted and measured are about the same thing."""

from __future__ import annotations

import json

import pytest

from cluster.deploy.comparison import Comparison, compare, comparison_json
from cluster.deploy.comparison_text import cells_of, signed_percent
from cluster.deploy.predicted import Predicted
from cluster.deploy.spec import FULL_SIZE
from cluster.deploy.status import DeploymentState, DeploymentStatus, Measured, ReplicaStatus
from cluster.planner.result import Band
from cluster.units import GIB

PREDICTED = Predicted(
    weights_bytes=10 * GIB,
    kv_cache_tokens=100_000,
    throughput_tokens_per_s=Band(1000, 800, 1200),
    ttft_s=Band(0.2, 0.15, 0.3),
    concurrency=16,
)


def status(
    measured: Measured, in_flight: int = 16, predicted: Predicted = PREDICTED, **fields: object
) -> DeploymentStatus:
    return DeploymentStatus.model_validate(
        {
            "name": "n",
            "model": "m",
            "label": "TP=1",
            "state": DeploymentState.READY,
            "predicted": predicted,
            "measured": measured,
            "replicas": (ReplicaStatus(replica=0, ready=True, in_flight=in_flight),),
            **fields,
        }
    )


def row(name: str, given: DeploymentStatus) -> Comparison:
    return next(one for one in compare(given) if one.name == name)


def test_an_error_is_measured_over_predicted_less_one() -> None:
    given = status(Measured(weights_bytes=11 * GIB, kv_cache_tokens=97_000))
    assert row("weights_bytes", given).error == pytest.approx(0.1)
    assert row("kv_cache_tokens", given).error == pytest.approx(-0.03)


@pytest.mark.parametrize(("rate", "outside"), [(801, False), (1200, False), (799, True), (1201, True)])
def test_a_value_outside_the_range_is_marked(rate: float, outside: bool) -> None:
    given = status(Measured(throughput_tokens_per_s=rate))
    assert row("throughput_tokens_per_s", given).is_outside is outside
    assert comparison_json(given)["outside_band"] == (["throughput_tokens_per_s"] if outside else [])


def test_a_figure_without_a_range_is_never_outside() -> None:
    assert not row("weights_bytes", status(Measured(weights_bytes=50 * GIB))).is_outside


def test_a_light_load_is_not_held_against_the_full_one() -> None:
    given = status(Measured(throughput_tokens_per_s=40, ttft_s=0.05, weights_bytes=10 * GIB), in_flight=7)
    light = row("throughput_tokens_per_s", given)
    assert light.error is None and not light.is_outside
    assert light.incomparable == "the prediction is for 16 requests at a time; now there are 7"
    assert row("weights_bytes", given).error == 0
    assert row("ttft_s", status(given.measured, in_flight=8)).error == pytest.approx(-0.75)
    unknown = PREDICTED.model_copy(update={"concurrency": None})
    assert row("ttft_s", status(given.measured, predicted=unknown)).incomparable


@pytest.mark.parametrize("scale", ["1/64 width", FULL_SIZE])
def test_a_stand_in_on_the_cpu_is_never_held_against_a_gpu(scale: str) -> None:
    given = status(Measured(throughput_tokens_per_s=1000, kv_cache_tokens=10), simulated=True, scale=scale)
    assert all(one.error is None and not one.is_outside for one in compare(given))
    assert comparison_json(given)["error"] == {}


def test_what_is_known_of_neither_side_has_no_row() -> None:
    names = [one.name for one in compare(status(Measured(), predicted=Predicted()))]
    assert names == []


def test_an_order_of_an_older_version_still_has_rate_and_memory() -> None:
    given = status(
        Measured(total_bytes=9 * GIB),
        predicted=Predicted(),
        predicted_tokens_per_s=Band(5, 4, 6),
        planned_bytes_by_gpu={"GPU-0": 8 * GIB, "GPU-1": 10 * GIB},
    )
    assert row("total_bytes", given).error == pytest.approx(-0.1)
    assert row("throughput_tokens_per_s", given).predicted == 5


def test_json_has_each_error_by_its_figures_name() -> None:
    given = status(Measured(weights_bytes=11 * GIB, ttft_s=0.2), in_flight=1)
    found = json.loads(json.dumps(comparison_json(given), allow_nan=False))
    assert found["error"] == {"weights_bytes": pytest.approx(0.1)}
    assert set(found["not_comparable"]) == {"ttft_s"}


def test_cells_have_ranges_units_and_reasons() -> None:
    given = status(
        Measured(throughput_tokens_per_s=1250, weights_bytes=int(10.32 * GIB), kv_cache_tokens=95_000)
    )
    rate = cells_of(row("throughput_tokens_per_s", given))
    assert (rate.predicted, rate.measured) == ("1,000 tok/s (800–1,200)", "1,250 tok/s")
    assert (rate.error, rate.is_outside, rate.why) == ("+25%", True, "")
    assert cells_of(row("weights_bytes", given)).error == "+3.2%"
    tokens = cells_of(row("kv_cache_tokens", given))
    assert (tokens.predicted, tokens.measured, tokens.error) == ("100,000", "95,000", "-5.0%")
    ttft = cells_of(row("ttft_s", given))
    assert (ttft.predicted, ttft.measured, ttft.error) == ("200 ms (150–300)", "n/a", "n/a")
    assert ttft.why == "not measured"


@pytest.mark.parametrize(
    ("error", "text"), [(0.0, "+0.0%"), (-0.0996, "-10%"), (0.0994, "+9.9%"), (12.5, "+1,250%")]
)
def test_errors_are_short(error: float, text: str) -> None:
    assert signed_percent(error) == text

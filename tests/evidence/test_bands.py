"""The stored bands match the errors on the evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.catalog.models import load_model
from cluster.catalog.timing_spec import load_timing
from cluster.planner.cost.band import band, layout_class
from cluster.planner.layout import Layout
from tests.cluster.planner.cost.setups import LLAMA_70B, QWEN_MOE
from tests.evidence.bands import Ratio, fractions
from tests.evidence.throughput_accuracy import ratios, read_cases

EVIDENCE = Path(__file__).with_name("data")
DRIFT = 0.05
"""Memory model constants shift batch sizes slightly; beyond this the table must be recomputed."""


def test_the_stored_bands_are_those_that_the_evidence_gives() -> None:
    computed = fractions(ratios(read_cases(EVIDENCE)[0]))
    stored = load_timing().bands
    assert stored.keys() == computed.keys()
    for group, figures in computed.items():
        for figure, (low, high) in figures.items():
            kept = stored[group][figure]
            assert (kept.low, kept.high) == pytest.approx((low, high), rel=DRIFT, abs=0.02), (group, figure)


def test_nine_in_ten_measurements_lie_in_their_band() -> None:
    bands = load_timing().bands
    inside = [
        bands[ratio.group][ratio.figure].low <= ratio.value <= bands[ratio.group][ratio.figure].high
        for ratio in ratios(read_cases(EVIDENCE)[0])
    ]
    assert len(inside) > 350
    assert sum(inside) / len(inside) >= 0.88


def test_a_band_spans_its_rows_and_holds_the_prediction() -> None:
    rows = [Ratio("dense", "tpot", 0.5 + i / 100) for i in range(40)]
    assert fractions(rows) == {"dense": {"tpot": (0.45, 1.0)}}


def test_a_class_with_few_rows_takes_the_widest_band() -> None:
    rows = [Ratio("dense", "ttft", 1.0 + i / 10) for i in range(10)] + [Ratio("served", "ttft", 9.0)]
    assert fractions(rows) == {"dense": {"ttft": (0.88, 2.25)}, "served": {"ttft": (0.70, 2.82)}}


def test_an_unknown_architecture_has_a_wider_band() -> None:
    known, unknown = band(100.0, "throughput", "dense"), band(100.0, "throughput", "dense", known=False)
    assert unknown.low < known.low <= known.value <= known.high < unknown.high


def test_classes_of_layouts() -> None:
    dense, experts = load_model(LLAMA_70B), load_model(QWEN_MOE)
    assert layout_class(dense, Layout(tp=8)) == "dense"
    assert layout_class(experts, Layout(tp=8)) == "experts"
    assert layout_class(experts, Layout(tp=4, pp=2)) == "pipelined"
    assert layout_class(dense, Layout(tp=8), served=True) == "served"

"""Four figures of every GPU over time: in order, with gaps, and bounded."""

from __future__ import annotations

from cluster.telemetry import GpuReading, NodeReading
from tests.tui.builders import NOW_S
from tui.history import FIGURES, LENGTH, History
from tui.widgets.curve import curve_lines, squeezed


def reading(second: int, **figures: float) -> NodeReading:
    """One reading of two GPUs; the second has no figures."""
    gpus = (GpuReading.model_validate({"uuid": "a", **figures}), GpuReading(uuid="b"))
    return NodeReading(node_id="n", taken_at_s=NOW_S + second, gpus=gpus)


def test_each_figure_has_its_own_curve() -> None:
    history = History()
    history.remember(
        reading(0, utilization_percent=40, memory_used_bytes=2**30, temperature_c=61, power_w=300)
    )
    assert [history.curve("a", figure) for figure in FIGURES] == [(40,), (2**30,), (61,), (300,)]
    assert history.curve("b", "power_w") == (None,)
    assert history.curve("unknown", "power_w") == ()


def test_a_second_without_a_reading_is_a_gap() -> None:
    history = History()
    history.remember(reading(0, power_w=300))
    history.remember(NodeReading(node_id="n", taken_at_s=NOW_S, state="hung"))
    history.remember(reading(2, power_w=310))
    assert history.curve("a", "power_w") == (300, None, 310)


def test_only_the_last_readings_are_kept() -> None:
    history = History()
    for second in range(3 * LENGTH):
        history.remember(reading(second, temperature_c=second))
    assert history.curve("a", "temperature_c") == tuple(range(2 * LENGTH, 3 * LENGTH))


def test_a_node_with_other_gpus_starts_again_and_one_can_be_forgotten() -> None:
    history = History()
    history.remember(reading(0, power_w=300))
    history.remember(NodeReading(node_id="n", taken_at_s=NOW_S, gpus=(GpuReading(uuid="c", power_w=100),)))
    assert history.curve("c", "power_w") == (100,)
    assert history.curve("a", "power_w") == ()
    history.forget("n")
    assert history.curve("c", "power_w") == ()


def test_a_curve_draws_each_value_at_its_height_and_leaves_gaps() -> None:
    assert curve_lines((0.0, 50.0, None, 100.0), 100.0, 6, height=2) == ["     ▇", "  ▁▇ ▇"]


def test_a_curve_that_is_squeezed_keeps_means_and_gaps() -> None:
    assert squeezed((None, 10.0, 20.0, 30.0, 50.0), 4, 2) == (None, 15.0, 40.0)
    assert squeezed((1.0, 2.0), 2, 100) == (1.0, 2.0)

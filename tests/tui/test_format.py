"""Numbers and states to text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cluster.planner.layout import Layout
from cluster.planner.result import Band
from cluster.units import GIB
from tui.format import (
    age,
    bar_cells,
    duration_band,
    fit,
    gib,
    percent,
    power,
    role_name,
    temperature,
    throughput_band,
)
from tui.glyphs import to_ascii, wants_ascii


@given(st.text(max_size=40), st.integers(0, 60), st.sampled_from(["left", "right"]))
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int, align: str) -> None:
    printable = "".join(char for char in text if char.isprintable())
    assert cell_len(fit(printable, width, align)) == width


@given(
    st.one_of(st.none(), st.integers(0, 2**40)),
    st.one_of(st.none(), st.integers(0, 2**41)),
    st.integers(0, 2**41),
    st.integers(0, 100),
)
def test_bar_fills_its_width(total: int | None, used: int | None, planned: int, width: int) -> None:
    cells = bar_cells(total, used, planned, width)
    assert sum(cells) == width
    assert min(cells) >= 0


def test_bar_shows_small_parts_and_hides_none() -> None:
    assert bar_cells(80 * GIB, 0, 0, 20) == (0, 0, 20)
    assert bar_cells(80 * GIB, 2 * GIB, 70 * GIB, 20)[0] == 1
    used, planned, free = bar_cells(80 * GIB, 78 * GIB, 2 * GIB, 20)
    assert planned == 1
    assert (used, free) == (19, 0)


def test_missing_readings_are_never_zero() -> None:
    assert {gib(None), percent(None), temperature(None), power(None)} == {"n/a"}


def test_predictions_are_never_bare_numbers() -> None:
    assert throughput_band(Band(1930, 1500, 2400)) == "1,930 tok/s (1,500–2,400)"
    assert duration_band(Band(0.028, 0.022, 0.036)) == "28 ms (22–36)"
    assert duration_band(Band(1.5, 0.9, 2.1)) == "1.5 s (0.9–2.1)"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "now"), (-5, "now"), (12, "12 s"), (600, "10 min"), (7200, "2 h")]
)
def test_age(seconds: float, words: str) -> None:
    assert age(seconds) == words


def test_role_names_leave_out_unused_dimensions() -> None:
    assert role_name(3, 0, 0, Layout(tp=1, pp=1)) == "R3"
    assert role_name(1, 0, 2, Layout(tp=4, pp=1)) == "R1·T2"
    assert role_name(0, 1, 2, Layout(tp=4, pp=2)) == "R0·S1·T2"


@given(st.text(max_size=40))
def test_ascii_keeps_the_cells(text: str) -> None:
    printable = "".join(char for char in text if char.isprintable())
    spelled = to_ascii(printable)
    assert spelled.isascii()
    assert cell_len(spelled) == cell_len(printable)


def test_the_three_parts_of_a_bar_differ_in_ascii_too() -> None:
    assert len({to_ascii(sign) for sign in "▆▃▁"}) == 3


def test_ascii_is_chosen_for_terminals_that_need_it() -> None:
    assert wants_ascii({"TERM": "dumb"}, "UTF-8")
    assert wants_ascii({"TERM": "xterm"}, "ISO-8859-1")
    assert not wants_ascii({"TERM": "xterm-256color"}, "UTF-8")

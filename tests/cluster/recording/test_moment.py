"""Moments of a recording, as people write them."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest

from cluster.errors import BadInput
from cluster.recording.blocks import Block
from cluster.recording.frames import Header
from cluster.recording.moment import looks_like_moment, moment_of, shown_span
from cluster.recording.recording import Recording

# Ten to midnight, local time, for half an hour.
FIRST_S = datetime(2026, 11, 28, 23, 50, 0).timestamp()
LAST_S = FIRST_S + 1800
RECORDING = Recording(
    Path("r"), Header(format="", version=1), (Block(0, 100, FIRST_S + 0.25, LAST_S, is_key=True),)
)


@pytest.mark.parametrize(
    ("text", "after_s"),
    [
        ("+90", 90.25),
        ("+90s", 90.25),
        ("+0.5m", 30.25),
        ("-5m", 1500),
        ("-0s", 1800),
        ("23:50", 0.25),
        ("23:55:30", 330),
        ("0:05", 900),
        ("00:20:00", 1800),
        ("2026-11-29T00:01:00", 660),
        ("2026-11-28 23:51", 60),
    ],
)
def test_moments(text: str, after_s: float) -> None:
    assert looks_like_moment(text)
    assert moment_of(text, RECORDING) == pytest.approx(FIRST_S + after_s)


def test_a_moment_with_a_time_zone() -> None:
    utc = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(FIRST_S + 60))
    assert moment_of(utc, RECORDING) == FIRST_S + 60


@pytest.mark.parametrize("text", ["+2h", "-31m", "12:00", "00:20:02", "2025-01-01T00:00:00"])
def test_moments_outside_say_what_it_covers(text: str) -> None:
    with pytest.raises(BadInput, match="outside the recording") as refused:
        moment_of(text, RECORDING)
    assert "2026-11-28 23:50:00 to 2026-11-29 00:20:00" in refused.value.hint


@pytest.mark.parametrize("text", ["25:00", "12:61", "2026-13-01T00:00"])
def test_times_that_do_not_exist(text: str) -> None:
    with pytest.raises(BadInput, match="is not a time"):
        moment_of(text, RECORDING)


@pytest.mark.parametrize("text", ["", "noon", "+", "+1d", "1e5", "12", "9" * 400 + ":00", "\x1b[2J"])
def test_texts_that_are_no_moments(text: str) -> None:
    assert not looks_like_moment(text)


def test_spans() -> None:
    assert [shown_span(seconds) for seconds in (5, 185.9, 3600, 90061)] == [
        "0:05",
        "3:05",
        "1:00:00",
        "25:01:01",
    ]

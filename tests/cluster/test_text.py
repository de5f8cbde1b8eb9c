"""Strings from outside contain nothing that a terminal would act on."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.inventory import GpuProcess
from cluster.text import MAX_TEXT_LENGTH, clean


@given(st.text())
def test_no_control_or_format_character_survives(text: str) -> None:
    categories = {unicodedata.category(char) for char in clean(text)}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn"}


@given(st.text(min_size=MAX_TEXT_LENGTH + 1))
def test_length_is_capped(text: str) -> None:
    assert len(clean(text)) <= MAX_TEXT_LENGTH


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("vllm\x1b]2;owned\x07", "vllm]2;owned"),
        ("a\x9b31mb", "a31mb"),
        ("two\nlines\tand tab", "two lines and tab"),
        ("abc\u202etxt.exe", "abctxt.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("e\u0301", "é"),
        ("lone\udc80surrogate", "lonesurrogate"),
        ("[@click=app.quit]x[/]", "[@click=app.quit]x[/]"),
    ],
)
def test_known_attacks(hostile: str, harmless: str) -> None:
    assert clean(hostile) == harmless


def test_a_model_cleans_what_it_is_built_from() -> None:
    assert GpuProcess(pid=1, name="py\x1b[2Jthon").name == "py[2Jthon"

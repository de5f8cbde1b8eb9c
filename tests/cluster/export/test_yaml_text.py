"""YAML is read back as it was meant, by readers of both versions, and remarks are comments."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cluster.export.yaml_text import Noted, to_yaml

TEXTS = [
    "yes",
    "on",
    "y",
    "N",
    "08",
    "0o7",
    "1e3",
    "1_000",
    "12:30:45",
    "~",
    "null",
    "",
    "- x",
    "a: b",
    "x # y",
]


@pytest.mark.parametrize(
    "text", [*TEXTS, "two\nlines\n", "two\nlines", " edge ", "\x1b[31m", "'\"", "*a", "&a", "%", "@"]
)
def test_texts_stay_texts(text: str) -> None:
    assert yaml.safe_load(to_yaml([{"key": text, "list": [text]}])) == {"key": text, "list": [text]}


@pytest.mark.parametrize("text", ["y", "N", "08", "0o7", "1e3", "2026-11-01", "0x1f", ".5"])
def test_what_some_readers_take_for_another_type_is_quoted(text: str) -> None:
    assert to_yaml([{"key": text}]).strip() in (f'key: "{text}"', f"key: '{text}'")


@given(
    st.dictionaries(
        st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(-9, 9))
    )
)
def test_any_value_comes_back(values: dict[str, object]) -> None:
    assert yaml.safe_load(to_yaml([values])) == values


def test_remarks_are_comments_and_change_no_value() -> None:
    noted = {"size": Noted(8, "placeholder"), "list": [Noted("1e3", "by\nyou"), Noted("a: b", "# more")]}
    text = to_yaml([noted], ["first", "second\nkey: value"])
    assert text.startswith("# first\n# second key: value\nsize: 8  # placeholder\n")
    assert yaml.safe_load(text) == {"size": 8, "list": ["1e3", "a: b"]}


def test_documents_are_separate() -> None:
    assert list(yaml.safe_load_all(to_yaml([{"a": 1}, {"b": 2}]))) == [{"a": 1}, {"b": 2}]

"""Engine profiles: versions, names, and that every file can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog.engine_catalog import engine_names, load_engine, parse_version
from cluster.errors import BadInput, UnknownName


def test_every_engine_can_be_read() -> None:
    assert engine_names() == ("builtin", "sglang", "tensorrt-llm", "vllm")
    for name in engine_names():
        profile = load_engine(name)
        assert 0 < profile.default_memory_utilization <= 1
        assert profile.block_tokens >= 1


@pytest.mark.parametrize(
    ("version", "utilization"), [("0.21.1", 0.9), ("0.22", 0.92), ("v0.24.0", 0.92), ("9.0", 0.92)]
)
def test_the_default_utilization_follows_the_version(version: str, utilization: float) -> None:
    assert load_engine("vllm", version).default_memory_utilization == utilization


def test_an_older_version_than_any_known_is_the_oldest_known() -> None:
    assert load_engine("vllm", "0.0.1").constants == load_engine("vllm", "0.2.0").constants


def test_what_only_this_product_can_do() -> None:
    assert load_engine("builtin").uneven_heads and load_engine("builtin").deployable
    assert not load_engine("tensorrt-llm").deployable


def test_bad_names_and_versions_are_told() -> None:
    with pytest.raises(UnknownName, match="'vlm'"):
        load_engine("vlm")
    with pytest.raises(BadInput, match="'latest'"):
        load_engine("vllm", "latest")


@given(st.text(max_size=30))
def test_any_version_text_is_read_or_told(text: str) -> None:
    try:
        assert all(number >= 0 for number in parse_version(text))
    except BadInput as error:
        assert "version" in error.message

"""Engine profiles: versions, names, and that every file can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog.engine_catalog import engine_names, load_engine
from cluster.catalog.engine_version import parse_version
from cluster.errors import BadInput, UnknownName


def test_every_engine_can_be_read() -> None:
    assert engine_names() == ("builtin", "sglang", "tensorrt-llm", "vllm")
    for name in engine_names():
        profile = load_engine(name)
        assert 0 < profile.budget.default_utilization <= 1
        assert profile.cache.block_tokens >= 1


@pytest.mark.parametrize(
    ("version", "utilization"), [("0.21.1", 0.9), ("0.22", 0.92), ("v0.24.0", 0.92), ("9.0", 0.92)]
)
def test_the_default_utilization_follows_the_version(version: str, utilization: float) -> None:
    assert load_engine("vllm", version).budget.default_utilization == utilization


def test_an_older_version_than_any_known_is_the_oldest_known() -> None:
    assert load_engine("vllm", "0.0.1").non_torch == load_engine("vllm", "0.2.0").non_torch


def test_only_the_built_in_engine_divides_unevenly() -> None:
    assert [name for name in engine_names() if load_engine(name).parallelism.uneven] == ["builtin"]


def test_bad_names_and_versions_are_refused() -> None:
    with pytest.raises(UnknownName, match="'vlm'"):
        load_engine("vlm")
    with pytest.raises(BadInput, match="'latest'"):
        load_engine("vllm", "latest")


@given(st.text(max_size=30))
def test_any_version_text_is_read_or_refused(text: str) -> None:
    try:
        assert all(number >= 0 for number in parse_version(text))
    except BadInput as error:
        assert "version" in error.message

"""What counts as the address of a Ray head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.bridge.ray_address import RayAddress, parse_ray_address
from cluster.errors import BadInput


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.1:6379", "10.0.0.1", 6379),
        (" head.local:1 ", "head.local", 1),
        ("[fd00::1]:6379", "fd00::1", 6379),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    assert parse_ray_address(text) == RayAddress(host, port)
    assert parse_ray_address(str(parse_ray_address(text))) == RayAddress(host, port)


@pytest.mark.parametrize(
    "text", ["", ":", "host", "host:", ":1", "host:0", "host:65536", "host:1e3", "host:٣", "auto", "local"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_ray_address(text)
    assert "10.0.0.1:6379" in refused.value.hint


def test_ray_client_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="Ray Client"):
        parse_ray_address("ray://host:10001")


@given(st.text())
def test_any_text_is_an_address_or_bad_input(text: str) -> None:
    try:
        assert 0 < parse_ray_address(text).port < 65536
    except BadInput as refused:
        assert refused.one_line().isprintable()

"""What counts as the address of a Ray head."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.bridge.ray_address import RayAddress, check_ray_address, find_ray_address, parse_ray_address
from cluster.errors import BadInput, Unreachable


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://10.0.0.1:8265", "Ray's dashboard"),
        ("https://head.local", "a web server"),
        ("HTTP://head:6379", "a web server"),
        ("grpc://head:6379", "begins with grpc://"),
        ("://head:6379", "begins with ://"),
    ],
)
def test_addresses_with_a_scheme_get_a_line_of_their_own(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told) as refused:
        parse_ray_address(text)
    assert "10.0.0.1:6379" in refused.value.hint


@pytest.mark.parametrize("text", ["fd00::1", "::1:6379", "fd00::1:6379", "[fd00::1", "[x:y]:6379", "[]:6379"])
def test_ipv6_needs_brackets_and_a_port(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_ray_address(text)
    assert "10.0.0.1:6379" in refused.value.hint


def test_an_address_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ray job submit` takes a web address from RAY_ADDRESS, so it is often there."""
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:8265")
    with pytest.raises(BadInput, match="RAY_ADDRESS"):
        check_ray_address("http://127.0.0.1:8265")
    with pytest.raises(BadInput) as refused:
        check_ray_address("nonsense")
    assert "RAY_ADDRESS" not in refused.value.one_line()


def test_auto_is_what_ray_wrote_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    check_ray_address("auto")
    with pytest.raises(Unreachable, match="no Ray cluster on this machine"):
        find_ray_address("auto")
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    file.write_text("10.0.0.7:6380")
    assert find_ray_address(" auto ") == RayAddress("10.0.0.7", 6380)
    file.write_bytes(b"\xff\x1b[2J" * 1000)
    with pytest.raises(Unreachable, match="holds no address") as refused:
        find_ray_address("auto")
    assert refused.value.one_line().isprintable()


def test_ray_client_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="Ray Client"):
        parse_ray_address("ray://host:10001")


@given(st.text())
def test_any_text_is_an_address_or_bad_input(text: str) -> None:
    try:
        assert 0 < parse_ray_address(text).port < 65536
    except BadInput as refused:
        assert refused.one_line().isprintable()

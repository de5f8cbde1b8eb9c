"""How sizes, durations and counts are formatted."""

from __future__ import annotations

import pytest

from cluster.units import GIB, format_bytes, format_count, format_duration, format_gib


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "n/a"),
        (0, "0 B"),
        (1536, "1.5 KiB"),
        (80 * GIB, "80.0 GiB"),
        (3 * 1024 * GIB, "3.0 TiB"),
        (-2 * GIB, "-2.0 GiB"),
    ],
)
def test_bytes(size_bytes: float | None, text: str) -> None:
    assert format_bytes(size_bytes) == text


def test_gib_keeps_one_unit_so_that_columns_compare() -> None:
    assert [format_gib(value) for value in (None, 0.5 * GIB, 2048 * GIB)] == ["n/a", "0.5 GiB", "2,048.0 GiB"]


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(None, "n/a"), (4e-6, "4 µs"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (600, "10 min"), (9000, "2.5 h")],
)
def test_duration(duration_s: float | None, text: str) -> None:
    assert format_duration(duration_s) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "n/a"), (312, "312"), (405_853_388_800, "406 B"), (640_000, "640 K")]
)
def test_count(count: float | None, text: str) -> None:
    assert format_count(count) == text

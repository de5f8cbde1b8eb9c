"""Output of a server, whatever it is, becomes clean lines of bounded length."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.deploy.log_page import LONGEST_LINE
from cluster.deploy.server.log import KEPT_LINES, ServerLog


def fed(*chunks: bytes, secret: str = "") -> tuple[list[str], list[str]]:
    """Return the lines kept and the lines told."""
    told: list[str] = []
    log = ServerLog(told.append, secret=secret)
    for chunk in chunks:
        log.feed(chunk)
    return list(log.page(0, 10**6)[1]), told


def test_lines_come_whole_from_pieces_of_any_size() -> None:
    assert fed(b"one\ntw", b"o\r", b"\nthr", b"ee\n")[0] == ["one", "two", "three"]


def test_states_of_a_progress_bar_are_told_but_not_kept() -> None:
    kept, told = fed(b"\rloading: 10%\rloading: 50%", b"\rloading: 100%\ndone\n")
    assert kept == ["loading: 100%", "done"]
    assert told == ["loading: 10%", "loading: 50%", "loading: 100%", "done"]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"\x1b[1;31mred\x1b[0m text", "red text"),
        (b"\x1b]0;title\x07after", "after"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1b[2J\x1b[Hclear", "clear"),
        (b"bad \xff\xfe bytes", "bad �� bytes"),
        ("rtl \u202e override".encode(), "rtl  override"),
        (b"key=s3cret", "key=***"),
    ],
)
def test_nothing_reaches_a_terminal_but_text(written: bytes, shown: str) -> None:
    assert fed(written + b"\n", secret="s3cret")[0] == [shown]


def test_a_line_without_an_end_does_not_grow() -> None:
    kept, _ = fed(*[b"x" * 100_000] * 20, b"\nnext\n")
    assert kept == ["x" * (LONGEST_LINE - 1) + "…", "next"]


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_any_output_becomes_printable_lines(chunks: list[bytes]) -> None:
    kept, told = fed(*chunks)
    assert all(line.isprintable() and len(line) <= LONGEST_LINE for line in (*kept, *told))


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_where_the_pieces_begin_does_not_matter(output: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(output), *(cut for cut in cuts if cut < len(output))})
    pieces = [output[start:end] for start, end in pairwise(places)]
    assert fed(*pieces, b"\n\n") == fed(output, b"\n\n")


def test_pages() -> None:
    log = ServerLog(lambda _: None)
    log.feed(b"".join(b"line %d\n" % number for number in range(KEPT_LINES + 5)))
    assert log.page(-2, 10) == (KEPT_LINES + 3, (f"line {KEPT_LINES + 3}", f"line {KEPT_LINES + 4}"))
    assert log.page(KEPT_LINES, 2) == (KEPT_LINES, (f"line {KEPT_LINES}", f"line {KEPT_LINES + 1}"))
    # The first five are no longer kept.
    assert log.page(0, 1) == (5, ("line 5",))
    assert log.page(KEPT_LINES + 5, 10) == (KEPT_LINES + 5, ())
    assert log.page(10**9, 10)[1] == ()
    assert log.last_line == f"line {KEPT_LINES + 4}"

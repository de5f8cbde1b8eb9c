"""Stop strings are found however the text is cut into chunks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.deploy.router.stop_strings import StopMatcher

LETTERS = st.text("abc", max_size=30)


def cut(text: str, stops: list[str]) -> str:
    """Reference implementation: the text before the stop string that is complete first."""
    for end in range(len(text) + 1):
        for stop in stops:
            if text[:end].endswith(stop):
                starts = [text[:end].rfind(s) for s in stops if text[:end].endswith(s)]
                return text[: min(starts)]
    return text


@given(
    pieces=st.lists(LETTERS, max_size=10),
    stops=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
)
def test_letter_by_letter_the_first_complete_stop_string_ends_the_text(
    pieces: list[str], stops: list[str]
) -> None:
    text = "".join(pieces)
    matcher, released = StopMatcher(stops), ""
    for letter in text:
        released += matcher.push(letter)
        if matcher.stopped:
            break
    else:
        released += matcher.flush()
    assert released == cut(text, stops)


@given(pieces=st.lists(LETTERS, max_size=10), stop=st.text("abc", min_size=1, max_size=4))
def test_the_cuts_do_not_change_where_a_stop_string_ends_the_text(pieces: list[str], stop: str) -> None:
    text = "".join(pieces)
    matcher, released = StopMatcher([stop]), ""
    for piece in pieces:
        released += matcher.push(piece)
        if matcher.stopped:
            break
    else:
        released += matcher.flush()
    assert released == text.split(stop)[0]

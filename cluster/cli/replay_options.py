"""Options on what is live, and on recordings: --once, --watch, --replay, --at, --duration."""

from __future__ import annotations

import argparse
import re
from argparse import ArgumentTypeError

from cluster.cli.option_types import some_text
from cluster.text import clean

_SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(s|m|h)?")
_UNITS = {None: 1, "s": 1, "m": 60, "h": 3600}
_LEAST_WATCH_S, _MOST_S = 0.5, 31 * 86_400


def add_replay(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a recording, for what can plan on one or show it."""
    group = parser.add_argument_group("a recording, made by `clusterview record`")
    group.add_argument(
        "--replay", type=some_text, metavar="FILE", help="play a recording instead of a cluster"
    )
    group.add_argument(
        "--at",
        type=moment,
        metavar="TIME",
        help="moment of the recording: 14:05:30, +90s after its start, --at=-5m before its end (default: its "
        "start on screen, else its end)",
    )


def add_once(parser: argparse.ArgumentParser) -> None:
    """Add the options of a table of now."""
    group = parser.add_argument_group("what is running now")
    group.add_argument("--once", action="store_true", help="print every GPU as it is now (JSON with --json)")
    group.add_argument(
        "--watch", type=watch_seconds, metavar="S", help="with --once: again every S seconds, until Ctrl-C"
    )


def moment(text: str) -> str:
    """A moment of a recording; which one it is depends on the file."""
    from cluster.recording.moment import looks_like_moment

    if not looks_like_moment(text):
        raise ArgumentTypeError(
            f"{clean(text, 40)!r} is not a moment; write 14:05:30, 2026-11-28T14:05:30, +90s or -5m"
        )
    return text


def watch_seconds(text: str) -> float:
    """An interval in seconds, at least half a second."""
    value = _span(text)
    if value is None or not _LEAST_WATCH_S <= value <= _MOST_S:
        raise ArgumentTypeError(f"{clean(text, 40)!r} is not an interval of {_LEAST_WATCH_S} s or more")
    return value


def duration(text: str) -> float:
    """A length of time: 90, 90s, 5m or 2h. Returns seconds."""
    value = _span(text)
    if value is None or not 0 < value <= _MOST_S:
        raise ArgumentTypeError(f"{clean(text, 40)!r} is not a length of time; write 90s, 5m or 2h")
    return value


def _span(text: str) -> float | None:
    match = _SPAN.fullmatch(text)
    return float(match[1]) * _UNITS[match[2]] if match else None

"""A moment of a recording as people write it, and as it is shown. Pure but for the time zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from cluster.errors import BadInput
from cluster.recording.recording import Recording

_OFFSET = re.compile(r"([+-])([0-9]{1,9}(?:\.[0-9]{1,3})?)([smh]?)")
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_FORMS = "Write 14:05, 14:05:30, 2026-11-28T14:05:30, +90s after the start or -5m before the end"


def looks_like_moment(text: str) -> bool:
    """Return whether a text can name a moment of some recording."""
    return bool(_OFFSET.fullmatch(text) or _CLOCK.fullmatch(text)) or _date(text) is not None


def moment_of(text: str, recording: Recording) -> float:
    """Return the Unix time that a text names in a recording; BadInput where it is no time, or outside.

    Times without a date are local, and of the day on which the recording starts, or the one after.
    """
    at_s = _named(text, recording)
    if not recording.first_at_s <= at_s <= recording.last_at_s + 1:
        covered = f"{shown_moment(recording.first_at_s)} to {shown_moment(recording.last_at_s)}"
        raise BadInput(f"--at {text} is outside the recording", f"It covers {covered}")
    return at_s


def shown_moment(at_s: float, *, date: bool = True) -> str:
    """Return a Unix time as local time: '2026-11-28 14:05:30'."""
    return datetime.fromtimestamp(at_s).strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def shown_span(seconds: float) -> str:
    """Return a length of time: '3:05', '1:00:00'."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _named(text: str, recording: Recording) -> float:
    if offset := _OFFSET.fullmatch(text):
        seconds = float(offset[2]) * _SECONDS[offset[3]]
        return recording.first_at_s + seconds if offset[1] == "+" else recording.last_at_s - seconds
    if clock := _CLOCK.fullmatch(text):
        return _of_day(int(clock[1]), int(clock[2]), int(clock[3] or 0), recording.first_at_s)
    date = _date(text)
    if date is None:
        raise BadInput(f"--at {text} is not a time", _FORMS)
    return date.timestamp()


def _of_day(hour: int, minute: int, second: int, first_at_s: float) -> float:
    first = datetime.fromtimestamp(first_at_s)
    try:
        named = first.replace(hour=hour, minute=minute, second=second, microsecond=0)
    except ValueError:
        raise BadInput(f"--at {hour}:{minute:02}:{second:02} is not a time of day", _FORMS) from None
    if named < first.replace(microsecond=0):
        named += timedelta(days=1)
    return max(named.timestamp(), first_at_s) if named.date() == first.date() else named.timestamp()


def _date(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if len(text) <= 40 and "-" in text[1:] else None
    except ValueError:
        return None

"""Read an engine's log with rules: text to find in a line, and the numbers beside it.

A log is text from outside: a line may be a megabyte long and hostile. Only its first part is looked at, by
plain searches that take time linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.engines.startup import LogNews, StartupFacts, StartupPhase
from cluster.text import clean
from cluster.units import GIB

_LONGEST_READ = 4000
_LONGEST_NUMBER = 32
_LONGEST_HEADER = 120
_LONGEST_PROGRAM = 60
_COLORS = re.compile(r"\x1b\[[0-9;]{0,20}m")
_NUMBER = re.compile(r"-?[0-9][0-9,]{0,20}(?:\.[0-9]{1,10})?")
_PERCENT = re.compile(r"([0-9]{1,3})%")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_INT_FIELDS = frozenset(
    name for name, field in StartupFacts.model_fields.items() if field.annotation == int | None
)


@dataclass(frozen=True, slots=True)
class LogRule:
    """What a line that contains `text` says."""

    text: str
    phase: StartupPhase | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    """Field of StartupFacts -> where its number stands: 'took *' or '* GiB for peak activation'.

    Numbers joined by ' + ' are added. Engines log memory in GiB, also where they write GB.
    """
    has_percent: bool = False
    """It is a progress bar."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line without carriage returns, colors, process names and the logger's own header."""

    level: str
    """Upper case; empty where the line has none."""
    body: str


def split_line(line: str) -> LogLine:
    """Take a line apart: '(EngineCore pid=7) ERROR 11-28 03:20:00 [core.py:9] text' is ERROR and 'text'."""
    line = line.rstrip("\r\n")
    body = _COLORS.sub("", line[line.rfind("\r") + 1 :][:_LONGEST_READ]).strip()
    while body.startswith("(") and " pid=" in body[:_LONGEST_HEADER] and ") " in body[:_LONGEST_HEADER]:
        body = body[body.find(") ") + 2 :].lstrip()
    level = next((level for level in _LEVELS if body.startswith(level + " ")), "")
    if (level or body.startswith("[20")) and (end := body.find("] ", 0, _LONGEST_HEADER)) > 0:
        body = body[end + 2 :].lstrip()
    return LogLine(level, body)


def read_by_rules(line: LogLine, rules: Sequence[LogRule]) -> LogNews | None:
    """Return what the first rule whose text is in the line makes of it; None if none is."""
    rule = next((rule for rule in rules if rule.text in line.body), None)
    if rule is None:
        return None
    numbers = ((name, _number(line.body, name, place)) for name, place in rule.values.items())
    found = {name: number for name, number in numbers if number is not None}
    facts = StartupFacts(**found) if found else None  # type: ignore[arg-type]
    return LogNews(rule.phase, _percent(line.body) if rule.has_percent else None, facts)


def word_after(body: str, text: str) -> str | None:
    """Return the word after a text, without brackets; None if the text is not there."""
    found = body.find(text)
    if found < 0:
        return None
    words = body[found + len(text) : found + len(text) + 64].split(maxsplit=1)
    return words[0].strip("(),") if words else None


def permanent_error(line: LogLine, signs: Sequence[str], starts: Sequence[str]) -> str:
    """Return the line, cleaned, if it is an error that a restart cannot fix; else ''.

    `signs` may stand anywhere in the line, `starts` only at its beginning: exceptions are also quoted in the
    warnings of engines that go on without what they could not import.
    """
    if line.level not in ("", "ERROR", "CRITICAL"):
        return ""
    found = line.body.startswith(tuple(starts)) or any(sign in line.body for sign in signs)
    return clean(line.body) if found or _is_usage_error(line.body) else ""


def _is_usage_error(body: str) -> bool:
    """Return whether it is what Python's option parsers say: 'PROGRAM: error: ...'; compilers name a file."""
    program, found, _ = body.partition(": error: ")
    return bool(found) and len(program) < _LONGEST_PROGRAM and not set(program) & set("(:/")


def _number(body: str, name: str, places: str) -> float | int | None:
    numbers = [_number_at(body, place) for place in places.split(" + ")]
    found = [number for number in numbers if number is not None]
    total = sum(found)
    if len(found) < len(numbers) or total < 0:  # below 0: memory that others freed meanwhile
        return None
    total *= GIB if name.endswith("_bytes") else 1
    return round(total) if name in _INT_FIELDS else total


def _number_at(body: str, place: str) -> float | None:
    before, _, after = place.partition("*")
    found = body.find(before or after)
    if found < 0:
        return None
    start = found + len(before) if before else max(0, found - _LONGEST_NUMBER)
    numbers = _NUMBER.findall(body[start : start + _LONGEST_NUMBER] if before else body[start:found])
    if not numbers:
        return None
    return float(numbers[0 if before else -1].replace(",", ""))


def _percent(body: str) -> float | None:
    found = _PERCENT.search(body[:300])
    return min(100, int(found[1])) / 100 if found else None

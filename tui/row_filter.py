"""What is typed to filter a table: words, !words, and conditions such as mem>10 or user=bob. Pure.

Words are looked for as they are, in any case: nothing that is typed is a pattern whose cost has no bound.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cluster.errors import BadInput

Row = TypeVar("Row")
Value = str | float | None

_COMPARES: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_CONDITION = re.compile(r"([a-z]{1,20})(>=|<=|!=|=|>|<)(.{0,200})", re.IGNORECASE)
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Fields(Generic[Row]):
    """What a table's rows can be filtered by."""

    text: Callable[[Row], str]
    """Everything that a word is looked for in."""
    named: Mapping[str, Callable[[Row], Value]]
    """What a condition names: a text or a figure."""
    figures: frozenset[str] = frozenset()
    """Those that are figures."""


@dataclass(frozen=True, slots=True)
class Filter(Generic[Row]):
    """Tests that a row must all pass."""

    tests: tuple[Callable[[Row], bool], ...] = ()

    def keeps(self, row: Row) -> bool:
        """Return whether a row is shown."""
        return all(test(row) for test in self.tests)

    def kept(self, rows: Iterable[Row]) -> Sequence[Row]:
        """Return the rows that are shown."""
        return [row for row in rows if self.keeps(row)] if self.tests else list(rows)


def parse_filter(typed: str, fields: Fields[Row]) -> Filter[Row]:
    """Read what was typed. Raises BadInput where a condition on a figure has none."""
    return Filter(tuple(_test(term, fields) for term in typed[:_LONGEST].split()))


def _test(term: str, fields: Fields[Row]) -> Callable[[Row], bool]:
    match = _CONDITION.fullmatch(term)
    name = match[1].lower() if match else ""
    if match and name in fields.figures:
        return _figure_test(term, fields.named[name], match[2], match[3])
    if match and name in fields.named and match[2] in ("=", "!="):
        return _text_test(fields.named[name], match[3].lower(), wanted=match[2] == "=")
    excluded = term.startswith("!") and len(term) > 1
    word = term[1:].lower() if excluded else term.lower()
    return lambda row: (word in fields.text(row).lower()) is not excluded


def _text_test(value: Callable[[Row], Value], word: str, *, wanted: bool) -> Callable[[Row], bool]:
    return lambda row: (word in str(value(row) or "").lower()) is wanted


def _figure_test(term: str, value: Callable[[Row], Value], sign: str, typed: str) -> Callable[[Row], bool]:
    try:
        number = float(typed)
    except ValueError:
        raise BadInput(f"'{term}': '{typed}' is not a number", "Write a condition such as mem>10") from None

    def test(row: Row) -> bool:
        found = value(row)
        if not isinstance(found, float | int):
            return False
        if sign in _COMPARES:
            return _COMPARES[sign](found, number)
        return (found == number) is (sign == "=")

    return test

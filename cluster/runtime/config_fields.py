"""Checked access to the fields of a config that somebody else wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cluster.errors import BadInput
from cluster.text import clean

# No dimension of a real model comes near; a larger one is a mistake that would only surface as a crash.
MAX_COUNT = 2**31 - 1


class Fields:
    """Reads typed fields; every complaint is a BadInput that names the field and its value."""

    def __init__(self, values: Mapping[str, Any], where: str = "config.json") -> None:
        self.values = values
        self.where = where

    def bad(self, name: str, complaint: str) -> BadInput:
        return BadInput(f"{self.where}: {name} {complaint}", "Fix the field, or download the file again")

    def count(self, name: str, *, default: int | None = None, at_most: int = MAX_COUNT) -> int:
        """Return a positive whole number; without a default the field must be there."""
        value = self.values.get(name)
        if value is None:
            if default is None:
                raise self.bad(name, "is missing")
            return default
        if not _is_whole(value) or not 1 <= value <= at_most:
            raise self.bad(name, f"is {_brief(value)}: expected a whole number from 1 to {at_most:,}")
        return int(value)

    def optional_count(self, name: str, *, default: int | None) -> int | None:
        """Return a positive whole number, None where the field says null, `default` where it is absent."""
        if name not in self.values:
            return default
        return None if self.values[name] is None else self.count(name)

    def whole(self, name: str, *, default: int) -> int:
        """Return a whole number that may be 0."""
        value = self.values.get(name, default)
        if value is None:
            return default
        if not _is_whole(value) or not 0 <= value <= MAX_COUNT:
            raise self.bad(name, f"is {_brief(value)}: expected a whole number")
        return int(value)

    def number(self, name: str, *, default: float | None = None) -> float:
        """Return a positive finite number."""
        value = self.values.get(name)
        if value is None:
            if default is None:
                raise self.bad(name, "is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_positive(value):
            raise self.bad(name, f"is {_brief(value)}: expected a positive number")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise self.bad(name, f"is {_brief(value)}: expected true or false")
        return bool(value)

    def text(self, name: str) -> str | None:
        """Return a string; None where it is absent or null."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise self.bad(name, f"is {_brief(value)}: expected a string")
        return value

    def token_ids(self, name: str) -> tuple[int, ...]:
        """Return one id or a list of ids as a tuple; absent is empty."""
        value = self.values.get(name)
        ids = value if isinstance(value, list) else [] if value is None else [value]
        if not all(_is_whole(token_id) and abs(token_id) <= MAX_COUNT for token_id in ids):
            raise self.bad(name, f"is {_brief(value)}: expected a token id or a list of them")
        return tuple(int(token_id) for token_id in ids)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_positive(value: float) -> bool:
    try:
        return math.isfinite(value) and value > 0
    except OverflowError:
        return False


def _brief(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"  # str() of a huge integer is slow, then an error
    return clean(f"a list of {len(value)}" if isinstance(value, list) else str(value), max_length=40)

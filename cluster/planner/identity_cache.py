"""A cache keyed by identity: model descriptions are large, frozen and asked about thousands of times."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

MAX_ENTRIES = 4096


class IdentityCache(Generic[Value]):
    """Remembers a value for (object, key). It holds the object, so that its identity cannot be reused."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: dict[tuple[int, Hashable], tuple[object, Value]] = {}
        self._max_entries = max_entries

    def get(self, subject: object, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the remembered value, or make and remember it. Full caches start again empty."""
        found = self._entries.get((id(subject), key))
        if found is not None:
            return found[1]
        value = make()
        if len(self._entries) >= self._max_entries:
            self._entries.clear()
        self._entries[id(subject), key] = (subject, value)
        return value

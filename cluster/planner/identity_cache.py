"""A cache keyed by identity: model descriptions are large, frozen and looked up thousands of times."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")

MAX_ENTRIES = 4096


class IdentityCache(Generic[Value]):
    """Caches a value per (object, key). It keeps the object alive, so that its id cannot be reused."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._entries: dict[tuple[int, Hashable], tuple[object, Value]] = {}
        self._max_entries = max_entries

    def get(self, subject: object, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the cached value, or make and cache it. A full cache is cleared."""
        found = self._entries.get((id(subject), key))
        if found is not None:
            return found[1]
        value = make()
        if len(self._entries) >= self._max_entries:
            self._entries.clear()
        self._entries[id(subject), key] = (subject, value)
        return value

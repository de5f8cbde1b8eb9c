"""Hysteresis: a changed value counts once it has held for a while."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Change(Generic[Value]):
    """A change that has settled."""

    old: Value
    new: Value
    since_s: float
    """When the new value was first seen."""
    lasted_s: float | None
    """How long the old value had held; None: since before the first look."""


@dataclass(slots=True)
class _Settled(Generic[Value]):
    value: Value
    began_s: float | None = None
    waiting: Value | None = None
    waiting_since_s: float | None = None
    """None: nothing waits."""


class Settling(Generic[Key, Value]):
    """Remembers a value per key. `hold_s(old, new)` says how long a new value must hold before it counts."""

    def __init__(self, hold_s: Callable[[Value, Value], float]) -> None:
        self._hold_s = hold_s
        self._known: dict[Key, _Settled[Value]] = {}
        self._waiting: set[Key] = set()

    def see(self, key: Key, value: Value, now_s: float) -> Change[Value] | None:
        """Take a look's value; return the change if one has settled with it. The first look is no change."""
        known = self._known.get(key)
        if known is None:
            self._known[key] = _Settled(value)
            return None
        if known.value == value:
            known.waiting_since_s = None
            self._waiting.discard(key)
            return None
        # A clock that was set back must not make a change wait for longer.
        if known.waiting_since_s is None or known.waiting != value or now_s < known.waiting_since_s:
            known.waiting, known.waiting_since_s = value, now_s
            self._waiting.add(key)
        return self._settle(key, known, value) if self._has_held(known, value, now_s) else None

    def due(self, now_s: float) -> list[tuple[Key, Change[Value]]]:
        """Return the changes that have held for long enough without another look.

        For values that are reported only when they change.
        """
        found = []
        for key in list(self._waiting):
            known = self._known[key]
            if known.waiting_since_s is not None and known.waiting is not None:
                change = self.see(key, known.waiting, now_s)
                found += [(key, change)] if change is not None else []
        return found

    def value(self, key: Key) -> Value | None:
        """Return the value that counts; None before the first look."""
        known = self._known.get(key)
        return None if known is None else known.value

    def is_settled(self, key: Key, value: Value) -> bool:
        """Return whether a value counts and no other waits."""
        known = self._known.get(key)
        return known is not None and known.value == value and known.waiting_since_s is None

    def forget(self, key: Key) -> None:
        """Make the next look at a key the first one."""
        self._known.pop(key, None)
        self._waiting.discard(key)

    def keep(self, keys: Collection[Key]) -> None:
        """Forget all keys but these."""
        for key in [key for key in self._known if key not in keys]:
            self.forget(key)

    def _has_held(self, known: _Settled[Value], value: Value, now_s: float) -> bool:
        return now_s - (known.waiting_since_s or now_s) >= self._hold_s(known.value, value)

    def _settle(self, key: Key, known: _Settled[Value], value: Value) -> Change[Value]:
        since_s = known.waiting_since_s or 0.0
        self._waiting.discard(key)
        lasted_s = None if known.began_s is None else max(0.0, since_s - known.began_s)
        change = Change(known.value, value, since_s, lasted_s)
        known.value, known.began_s, known.waiting_since_s = value, since_s, None
        return change

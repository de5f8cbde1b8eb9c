"""Finds stop strings in a text that arrives in chunks."""

from __future__ import annotations

from collections.abc import Sequence


class StopMatcher:
    """Passes text through up to the first stop string, holding back what may be the start of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return the text that cannot be part of a stop string; sets `stopped` when one is complete."""
        self._held += text
        ends = [self._held.find(stop) for stop in self._stops]
        found = [end for end in ends if end >= 0]
        if found:
            self.stopped = True
            released, self._held = self._held[: min(found)], ""
            return released
        keep = self._longest_prefix()
        released = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return released

    def flush(self) -> str:
        """Return what was held back, at the end of the text."""
        released, self._held = self._held, ""
        return released

    def _longest_prefix(self) -> int:
        """Return how many characters at the end may be the start of a stop string."""
        longest = max((len(stop) for stop in self._stops), default=0)
        for length in range(min(longest - 1, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0

"""The incidents that are kept, and which of them nobody has looked at."""

from __future__ import annotations

import threading
from bisect import insort
from collections.abc import Iterable

from cluster.incidents.incident import Incident

MOST_KEPT = 2000
_SPARE = 200


class IncidentLog:
    """Incidents in the order in which they began. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[Incident] = []
        self._shown: tuple[Incident, ...] = ()
        self._num_unseen = self._num_bad = 0
        self.num_dropped = 0
        """Older ones that are no longer kept."""

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """All that are kept, the oldest first; the same object until one comes."""
        return self._shown

    @property
    def num_unseen(self) -> int:
        """How many have come since the last `mark_seen`; what was so at the start is not counted."""
        return self._num_unseen

    @property
    def num_bad_unseen(self) -> int:
        """How many of those are bad."""
        return self._num_bad

    def add(self, incidents: Iterable[Incident]) -> None:
        """Keep more incidents; the oldest give way."""
        new = list(incidents)
        if not new:
            return
        with self._lock:
            for incident in new:
                insort(self._kept, incident, key=lambda one: one.at_s)
            excess = len(self._kept) - MOST_KEPT
            if excess > _SPARE:
                del self._kept[:excess]
                self.num_dropped += excess
            self._shown = tuple(self._kept)
            unseen = [incident for incident in new if not incident.at_start]
            self._num_unseen += len(unseen)
            self._num_bad += sum(incident.severity == "bad" for incident in unseen)

    def forget_after(self, at_s: float) -> None:
        """Forget what began after a moment: a replay was rewound to it."""
        with self._lock:
            self._kept = [incident for incident in self._kept if incident.at_s <= at_s]
            self._shown = tuple(self._kept)
            self._num_unseen = min(self._num_unseen, len(self._kept))
            self._num_bad = min(self._num_bad, self._num_unseen)

    def mark_seen(self) -> None:
        """Count from here."""
        with self._lock:
            self._num_unseen = self._num_bad = 0

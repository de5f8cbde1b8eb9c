"""How often something costly is done: never more than a tenth of the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PAUSES = 9
"""A look that took a second is followed by nine without one."""


class Pace:
    """Measures how long a look takes, and says when the next one is due."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_s = 0.0

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed since the last look."""
        return self._clock() >= self._due_s

    @contextmanager
    def look(self) -> Iterator[None]:
        """Measure a look."""
        began_s = self._clock()
        yield
        ended_s = self._clock()
        self._due_s = ended_s + _PAUSES * (ended_s - began_s)

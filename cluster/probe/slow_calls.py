"""NVML calls that take seconds: asked rarely, so that they do not delay the reading of everything else."""

from __future__ import annotations

import time
from dataclasses import dataclass

Key = tuple[int | None, str, tuple[object, ...]]
"""GPU, function, and the numbers and fields among its arguments."""

_SLOW_S = 1.0
_TIMES_SLOW = 2
"""One slow answer is forgiven: the driver may have been starting the GPU."""
_REST = 10.0
"""Times the duration of a slow call that pass before the next one."""


@dataclass(slots=True)
class _Slow:
    times: int = 0
    until_s: float = 0.0
    reason: str = ""


class SlowCalls:
    """Knows which calls rest now, and why."""

    def __init__(self) -> None:
        self._slow: dict[Key, _Slow] = {}

    def reason(self, key: Key) -> str | None:
        """Return why the call is not made now; None: make it."""
        slow = self._slow.get(key)
        return slow.reason if slow is not None and time.monotonic() < slow.until_s else None

    def took(self, key: Key, began_s: float) -> None:
        """Record a call that has just returned."""
        now_s = time.monotonic()
        duration_s = now_s - began_s
        if duration_s < _SLOW_S:
            if self._slow:
                self._slow.pop(key, None)
            return
        slow = self._slow.setdefault(key, _Slow())
        slow.times += 1
        if slow.times >= _TIMES_SLOW:
            slow.until_s = now_s + _REST * duration_s
            slow.reason = (
                f"{key[1]} took {duration_s:.1f} s, so it is asked only every {_REST * duration_s:.0f} s"
            )

"""Backoff after a hang or a crash of the probe: which GPU to skip for how long, and when to retry."""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_FIRST_SKIP_S = 120.0


@dataclass(frozen=True, slots=True)
class Skip:
    """A GPU that is not read until a time of the monotonic clock."""

    reason: str
    until_s: float


@dataclass
class Quarantine:
    """Records hangs and crashes. A GPU that hangs once or crashes twice is skipped, each time for longer."""

    skips: dict[int, Skip] = field(default_factory=dict)
    _times_skipped: dict[int, int] = field(default_factory=dict)
    _crashed_gpu: int | None = None
    _failures_in_a_row: int = 0

    def hung(self, gpu_index: int | None, reason: str, now_s: float) -> float:
        """Record a call that did not return; returns the seconds to wait before the next process."""
        if gpu_index is not None:
            self._skip(gpu_index, reason, now_s)
            return 0.0
        return self._pause_s()

    def crashed(self, gpu_index: int | None, reason: str, now_s: float) -> float:
        """Record a process that died; returns the seconds to wait before the next one."""
        if gpu_index is not None and gpu_index == self._crashed_gpu:
            self._skip(gpu_index, reason, now_s)
        self._crashed_gpu = gpu_index
        return self._pause_s()

    def recovered(self) -> None:
        """Record that a process works: the next failure starts with the shortest pause again."""
        self._failures_in_a_row = 0

    def skipped(self, now_s: float) -> dict[int, str]:
        """Return the GPUs to skip now, with the reason."""
        return {index: skip.reason for index, skip in self.skips.items() if skip.until_s > now_s}

    def _skip(self, gpu_index: int, reason: str, now_s: float) -> None:
        times = self._times_skipped.get(gpu_index, 0)
        self._times_skipped[gpu_index] = times + 1
        self.skips[gpu_index] = Skip(reason, now_s + _FIRST_SKIP_S * 2**times)

    def _pause_s(self) -> float:
        self._failures_in_a_row += 1
        return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (self._failures_in_a_row - 1))

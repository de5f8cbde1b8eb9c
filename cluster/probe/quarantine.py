"""After a hang or a crash of the probe: which call or GPU to leave out for how long, and when to retry."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from cluster.probe.lines import LeftOut
from cluster.probe.place import Place

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_FIRST_SKIP_S = 120.0
_FIRST_LEFT_OUT_S = 600.0
_LONGEST_LEFT_OUT_S = 86_400.0
_TRIES = 2
"""Tries on one GPU, or GPUs, on which a call ends the process before it is left out."""
_MOST_HUNG_GPUS = 3
"""GPUs on which the same call hangs before it is left out; all of them where there are fewer."""
_MOST_CALLS_OF_ONE_GPU = 3
"""A GPU on which so many calls fail that work on others is itself what fails."""

_Call = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Skip:
    """A GPU or a call that is left alone until a time of the monotonic clock."""

    reason: str
    until_s: float
    function: str | None = None


@dataclass
class Quarantine:
    """Records hangs and crashes, and decides what is at fault.

    A call without which a GPU can still be read is left out: on one GPU after it ended the process there
    twice, on all after it did so on two. A GPU is skipped when a call that it needs fails, or when a call
    hangs on it and returns on others.
    """

    skips: dict[int, Skip] = field(default_factory=dict)
    _calls_out: dict[_Call, Skip] = field(default_factory=dict)
    _times_out: dict[_Call, int] = field(default_factory=dict)
    _times_skipped: dict[int, int] = field(default_factory=dict)
    _ended: dict[str, dict[int | None, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    _hung: dict[int | None, set[str]] = field(default_factory=lambda: defaultdict(set))
    _crashed_gpu: int | None = None
    _failures_in_a_row: int = 0

    def hung(self, place: Place, reason: str, now_s: float, num_gpus: int = 0) -> float:
        """Record a call that did not return; returns the seconds to wait before the next process."""
        if place.function is None:
            return self._pause_s()
        self._hung[place.gpu_index].add(place.function)
        if not place.is_required and self._hangs_anywhere(place, num_gpus):
            self._leave_out((place.function, None), reason, now_s)
            self.skips = {i: skip for i, skip in self.skips.items() if skip.function != place.function}
            return 0.0
        if place.gpu_index is not None:
            self._skip(place, reason, now_s)
            return 0.0
        return self._pause_s()

    def _hangs_anywhere(self, place: Place, num_gpus: int) -> bool:
        """Whether the call is at fault: it hung on several GPUs, on which no other call did."""
        if place.gpu_index is None:
            return True
        gpus = [gpu for gpu, calls in self._hung.items() if gpu is not None and calls == {place.function}]
        return len(gpus) >= min(_MOST_HUNG_GPUS, num_gpus or _MOST_HUNG_GPUS)

    def crashed(self, place: Place, reason: str, now_s: float, num_gpus: int = 0) -> float:
        """Record a process that ended in a call, or of itself; returns the seconds until the next one."""
        if place.function is None:
            return self._pause_s()
        if place.is_required:
            if place.gpu_index is not None and place.gpu_index == self._crashed_gpu:
                self._skip(place, reason, now_s)
            self._crashed_gpu = place.gpu_index
            return self._pause_s()
        return self._crashed_in(place.function, place, reason, now_s, num_gpus)

    def _crashed_in(self, function: str, place: Place, reason: str, now_s: float, num_gpus: int) -> float:
        times = self._ended[function]
        times[place.gpu_index] += 1
        if len(times) >= _TRIES:
            self._leave_out((function, None), reason, now_s)
        elif times[place.gpu_index] >= _TRIES:
            self._leave_out((function, place.gpu_index), reason, now_s)
            if num_gpus > 1 and self._num_out(place.gpu_index, now_s) >= _MOST_CALLS_OF_ONE_GPU:
                self._skip(place, reason, now_s)
        else:
            return self._pause_s()
        # The next process will get further than this one.
        return _FIRST_PAUSE_S

    def recovered(self) -> None:
        """Record that a process works: the next failure starts with the shortest pause again."""
        self._failures_in_a_row = 0

    def skipped(self, now_s: float) -> dict[int, str]:
        """Return the GPUs to skip now, with the reason."""
        return {index: skip.reason for index, skip in self.skips.items() if skip.until_s > now_s}

    def left_out(self, now_s: float) -> tuple[LeftOut, ...]:
        """Return the calls to leave out now, with the reason."""
        return tuple(
            LeftOut(function=function, gpu_index=gpu_index, reason=skip.reason)
            for (function, gpu_index), skip in self._calls_out.items()
            if skip.until_s > now_s
        )

    def _num_out(self, gpu_index: int | None, now_s: float) -> int:
        return sum(gpu_index is not None and out.gpu_index == gpu_index for out in self.left_out(now_s))

    def _leave_out(self, call: _Call, reason: str, now_s: float) -> None:
        times = self._times_out.get(call, 0)
        self._times_out[call] = times + 1
        lasts_s = min(_LONGEST_LEFT_OUT_S, _FIRST_LEFT_OUT_S * 2.0**times)
        self._calls_out[call] = Skip(f"left out for {lasts_s / 60:.0f} minutes: {reason}", now_s + lasts_s)

    def _skip(self, place: Place, reason: str, now_s: float) -> None:
        assert place.gpu_index is not None
        times = self._times_skipped.get(place.gpu_index, 0)
        self._times_skipped[place.gpu_index] = times + 1
        self.skips[place.gpu_index] = Skip(reason, now_s + _FIRST_SKIP_S * 2.0**times, place.function)

    def _pause_s(self) -> float:
        self._failures_in_a_row += 1
        return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (self._failures_in_a_row - 1))

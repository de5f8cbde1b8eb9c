"""Counts all-reduces and adds up the time they take, without slowing them down."""

from __future__ import annotations

import time
from typing import Any

import torch


class AllReduceMeter:
    """Host time on a CPU; CUDA events, read after the step, on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.count = 0
        self._seconds = 0.0
        self._on_gpu = device.type == "cuda"
        self._events: list[tuple[Any, Any]] = []

    def start(self) -> Any:
        """Note the start of an all-reduce; hand the result to `stop`."""
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def stop(self, started: Any) -> None:
        """Note the end of the all-reduce that `started`."""
        self.count += 1
        if not self._on_gpu:
            self._seconds += time.perf_counter() - started
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._events.append((started, event))

    def take(self) -> tuple[int, float]:
        """Return (all-reduces, seconds) since the last call; on a GPU it waits for the last of them."""
        if self._events:
            self._events[-1][1].synchronize()
        seconds = self._seconds + sum(start.elapsed_time(end) / 1e3 for start, end in self._events)
        count = self.count
        self.count, self._seconds = 0, 0.0
        self._events.clear()
        return count, seconds

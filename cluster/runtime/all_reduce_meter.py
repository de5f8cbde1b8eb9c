"""Counts all-reduces and the time they take, without adding synchronization to them."""

from __future__ import annotations

import time
from typing import Any

import torch


class AllReduceMeter:
    """Measures host time on a CPU, and CUDA events that are read after the step on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.count = 0
        self._seconds = 0.0
        self._on_gpu = device.type == "cuda"
        self._events: list[tuple[Any, Any]] = []

    def start(self) -> Any:
        """Mark the start of an all-reduce. Pass the result to `stop`."""
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def stop(self, started: Any) -> None:
        """Mark the end of the all-reduce that `started` stands for."""
        self.count += 1
        if not self._on_gpu:
            self._seconds += time.perf_counter() - started
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._events.append((started, event))

    def take(self) -> tuple[int, float]:
        """Return (number, seconds) of all-reduces since the last call. On a GPU, waits for the last one."""
        if self._events:
            self._events[-1][1].synchronize()
        seconds = self._seconds + sum(start.elapsed_time(end) / 1e3 for start, end in self._events)
        count = self.count
        self.count, self._seconds = 0, 0.0
        self._events.clear()
        return count, seconds

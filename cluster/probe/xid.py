"""Errors that the driver reports with a number, its Xids, as they happen."""

from __future__ import annotations

import ctypes
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from cluster.detail import XidEvent
from cluster.probe.nvml import Device
from cluster.probe.query import TIMED_OUT, GpuGone, NvmlQuery

_XID = 0x8
_MOST_KEPT = 20
# A GPU in trouble may report without end.
_MOST_AT_ONCE = 200


class XidWatch:
    """Collects the Xids of each GPU since it was first watched, at most the latest 20."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._query: NvmlQuery | None = None
        self._set: Any = None
        self._no_set: str | None = None
        self._watched: dict[int, int] = {}
        self._unwatched: dict[int, str] = {}
        self._events: dict[int, deque[XidEvent]] = {}

    def look(self, query: NvmlQuery, chips: Sequence[Device]) -> None:
        """Watch these GPUs, and take in what was reported since the last look. Does not wait."""
        if query is not self._query:
            self._open(query)
        if self._set is None:
            return
        for chip in chips:
            if chip.index not in self._watched and chip.handle is not None:
                self._watch(query, chip)
        self._collect(query)

    def of(self, chip: Device) -> tuple[tuple[XidEvent, ...], str | None]:
        """Return a GPU's Xids, the latest last; the reason where they cannot be watched."""
        events = tuple(self._events.get(chip.index, ()))
        return events, self._no_set or self._unwatched.get(chip.index)

    def _open(self, query: NvmlQuery) -> None:
        """Begin anew with a session: its sets and handles are gone with the last one, its events stay."""
        self._query, self._watched, self._unwatched = query, {}, {}
        answer = query.ask(None, "nvmlEventSetCreate")
        self._set, self._no_set = answer.value, answer.reason

    def _watch(self, query: NvmlQuery, chip: Device) -> None:
        try:
            answer = query.ask(chip.index, "nvmlDeviceRegisterEvents", chip.handle, _XID, self._set)
        except GpuGone:
            return
        # The call answers nothing: without a reason it worked.
        if answer.reason:
            self._unwatched[chip.index] = answer.reason
            return
        self._unwatched.pop(chip.index, None)
        self._watched[chip.index] = _address(chip.handle)

    def _collect(self, query: NvmlQuery) -> None:
        index_of = {address: index for index, address in self._watched.items()}
        for _ in range(_MOST_AT_ONCE if index_of else 0):
            try:
                answer = query.ask(None, "nvmlEventSetWait_v2", self._set, 0)
            except GpuGone:
                return
            if answer.value is None:
                self._no_set = None if answer.reason == TIMED_OUT else answer.reason
                return
            index = index_of.get(_address(answer.value.device))
            if index is not None and answer.value.eventType == _XID:
                event = XidEvent(code=int(answer.value.eventData), at_s=self._clock())
                self._events.setdefault(index, deque(maxlen=_MOST_KEPT)).append(event)


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0

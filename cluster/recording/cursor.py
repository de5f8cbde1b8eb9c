"""A position in a recording: the state there, one frame on, one back, or somewhere else."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from cluster.recording.blocks import Damaged
from cluster.recording.frames import state_after
from cluster.recording.recording import Recording
from cluster.recording.state import EMPTY, State


class Cursor:
    """Reads frames one after another. Blocks that are damaged are passed over, and noted in `damage`."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.state: State = EMPTY
        self.at_s = recording.first_at_s
        self.damage: list[tuple[float, float, str]] = []
        """(first time, last time, why) of what could not be read, once for each block."""
        self._block = -1
        self._waiting: deque[tuple[float, dict[str, Any]]] = deque()
        self._previous: State | None = None
        """What the next frame changes; None: only a whole state can follow."""

    @property
    def next_at_s(self) -> float | None:
        """Time of the next frame; None at the end."""
        while not self._waiting:
            following = self._block + 1
            if following >= len(self._recording.blocks):
                return None
            self._load(following)
        return self._waiting[0][0]

    def step(self) -> bool:
        """Go one frame on; False at the end."""
        while self.next_at_s is not None:
            at_s, frame = self._waiting.popleft()
            try:
                self._previous = self.state = state_after(self._previous, frame)
            except Damaged as damaged:
                self._pass_over(damaged)
                continue
            self.at_s = at_s
            return True
        return False

    def seek(self, at_s: float) -> None:
        """Go to the last frame at or before a time; to the first one where there is none."""
        for _ in self.run_up(at_s):
            pass

    def run_up(self, at_s: float) -> Iterator[State]:
        """Go to a time as `seek` does; yields the states on the way, from the last whole one on."""
        self._start_at(self._recording.key_block_at(at_s))
        if self.step():
            yield self.state
        while (next_at_s := self.next_at_s) is not None and next_at_s <= at_s:
            if self.step():
                yield self.state

    def step_back(self) -> bool:
        """Go one frame back; False at the beginning."""
        here_s, key = self.at_s, self._recording.key_block_at(self.at_s)
        before = self._last_before(key, here_s)
        if before is None and (earlier := self._recording.key_block_before(key)) is not None:
            before = self._last_before(earlier, here_s)
        if before is None:
            return False
        self.seek(before)
        return True

    def _last_before(self, key: int, at_s: float) -> float | None:
        """Return the time of the last frame before a time that can be reached from a block."""
        self._start_at(key)
        last = None
        while (next_at_s := self.next_at_s) is not None and next_at_s < at_s:
            if not self.step():
                break
            last = self.at_s
        return last

    def _start_at(self, block: int) -> None:
        self._block, self._previous = block - 1, None
        self._waiting.clear()

    def _load(self, block: int) -> None:
        self._block = block
        try:
            self._waiting.extend(self._recording.frames(block))
        except Damaged as damaged:
            self._pass_over(damaged)

    def _pass_over(self, damaged: Damaged) -> None:
        """Go on with the next block that starts anew: those before it continue what cannot be read."""
        block = self._recording.blocks[self._block]
        found = (block.first_at_s, block.last_at_s, str(damaged))
        if found not in self.damage:
            self.damage.append(found)
        self._waiting.clear()
        self._previous = None
        following = self._recording.key_block_after(self._block)
        self._block = len(self._recording.blocks) if following is None else following - 1

"""Continuous batching: decides which sequences run in the next step. Runs on the leader only."""

from __future__ import annotations

import threading
from collections import deque

from cluster.runtime.sequence import Sequence
from cluster.runtime.step_plan import SlotMove, StepKind, StepPlan

# Prompt tokens per step. Bounds how long a prompt can delay the next token of running sequences.
PROMPT_CHUNK_TOKENS = 512


class Scheduler:
    """Running sequences hold slots 0 to n - 1; at most one prompt is in prefill at a time.

    Prompt and decode steps alternate, so that a long prompt does not stall the running sequences. `add`,
    `stop` and the counters are thread-safe; `next_plan` and `apply` are for the thread that runs the steps.
    """

    def __init__(self, max_num_seqs: int) -> None:
        self.max_num_seqs = max_num_seqs
        self._changed = threading.Condition()
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._prefilling: Sequence | None = None
        self._moves: list[SlotMove] = []
        self._stopping = False
        self._closed = False
        self._last_was_prompt = False

    def limit(self, max_num_seqs: int) -> None:
        """Lower the number of concurrent sequences. Call before the first step."""
        self.max_num_seqs = min(self.max_num_seqs, max_num_seqs)

    def add(self, sequence: Sequence) -> bool:
        """Queue a sequence. Returns False once the scheduler is stopping or closed."""
        with self._changed:
            if self._closed or self._stopping:
                return False
            self._waiting.append(sequence)
            self._changed.notify()
            return True

    def stop(self) -> None:
        """Make STOP the next plan."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def close(self, error: str) -> None:
        """End all queued and running sequences with `error`, and accept no more."""
        with self._changed:
            self._closed = True
            for sequence in (*self._waiting, *self._active()):
                sequence.end("error", error)
            self._waiting.clear()
            self._running.clear()
            self._prefilling = None

    @property
    def in_flight(self) -> int:
        """Sequences that are queued or running."""
        with self._changed:
            return len(self._waiting) + len(self._active())

    @property
    def cached_tokens(self) -> int:
        """Tokens in the KV cache."""
        with self._changed:
            return sum(sequence.cached for sequence in self._active())

    def next_plan(self, idle_wait_s: float) -> StepPlan:
        """Return the next step; IDLE if no work arrives within `idle_wait_s`."""
        with self._changed:
            self._drop_cancelled()
            if not (self._stopping or self._waiting or self._active()):
                self._changed.wait(idle_wait_s)
            if self._stopping:
                return StepPlan(StepKind.STOP)
            self._admit()
            # After a prompt step the running sequences get a decode step first, if there are any.
            if self._prefilling and not (self._last_was_prompt and self._running):
                return self._prompt_plan(self._prefilling)
            return self._decode_plan() if self._running else StepPlan(StepKind.IDLE)

    def apply(self, plan: StepPlan, tokens: list[int]) -> None:
        """Record what the step did and deliver its tokens."""
        with self._changed:
            self._last_was_prompt = plan.kind is StepKind.PROMPT
            if plan.kind is StepKind.PROMPT:
                self._apply_prompt(plan, tokens)
            elif plan.kind is StepKind.DECODE:
                for sequence, token in zip(self._running, tokens, strict=True):
                    sequence.cached += 1
                    sequence.take(token)
            self._remove_finished()

    def _active(self) -> list[Sequence]:
        return [*self._running, self._prefilling] if self._prefilling else self._running

    def _admit(self) -> None:
        if self._prefilling is None and self._waiting and len(self._running) < self.max_num_seqs:
            self._prefilling = self._waiting.popleft()
            self._prefilling.slot = len(self._running)

    def _prompt_plan(self, sequence: Sequence) -> StepPlan:
        end = min(sequence.cached + PROMPT_CHUNK_TOKENS, len(sequence.prompt))
        is_last = end == len(sequence.prompt)
        return StepPlan(
            StepKind.PROMPT,
            moves=self._take_moves(),
            tokens=sequence.prompt[sequence.cached : end],
            positions=(sequence.cached,),
            slot=sequence.slot,
            prompt_length=len(sequence.prompt),
            sampling=sequence.sampling if is_last else None,
            greedy=sequence.sampling.temperature == 0,
        )

    def _decode_plan(self) -> StepPlan:
        return StepPlan(
            StepKind.DECODE,
            moves=self._take_moves(),
            tokens=tuple(sequence.last_token for sequence in self._running),
            positions=tuple(sequence.cached for sequence in self._running),
            greedy=all(sequence.sampling.temperature == 0 for sequence in self._running),
        )

    def _take_moves(self) -> tuple[SlotMove, ...]:
        moves, self._moves = tuple(self._moves), []
        return moves

    def _apply_prompt(self, plan: StepPlan, tokens: list[int]) -> None:
        sequence = self._prefilling
        assert sequence is not None
        sequence.cached += len(plan.tokens)
        if plan.sampling is None:
            return
        sequence.take(tokens[0])
        self._prefilling = None
        self._place(sequence, len(self._running))
        self._running.append(sequence)

    def _drop_cancelled(self) -> None:
        for sequence in [s for s in (*self._waiting, *self._active()) if s.handle.is_cancelled]:
            sequence.end("cancelled")
        self._waiting = deque(sequence for sequence in self._waiting if not sequence.finished)
        if self._prefilling and self._prefilling.finished:
            self._prefilling = None
        self._remove_finished()

    def _remove_finished(self) -> None:
        """Remove finished sequences and move the last running ones into their slots."""
        for slot in reversed(range(len(self._running))):
            if not self._running[slot].finished:
                continue
            last = self._running.pop()
            if slot < len(self._running):
                self._place(last, slot)
                self._running[slot] = last

    def _place(self, sequence: Sequence, slot: int) -> None:
        if sequence.slot != slot:
            self._moves.append(SlotMove(sequence.slot, slot, sequence.cached))
            sequence.slot = slot

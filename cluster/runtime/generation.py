"""A generation request and the stream of tokens that answers it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from cluster.errors import BadInput

FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. Temperature 0 is greedy and ignores the other fields."""

    temperature: float = 0.0
    top_p: float = 1.0
    """Sample from the smallest set of tokens whose total probability reaches this."""
    top_k: int = 0
    """Sample from the k most likely tokens; 0: from all."""
    seed: int | None = None
    """The same seed and request give the same tokens in every layout. None: the leader draws one."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise BadInput(f"temperature is {self.temperature}", "Use a value from 0 to 100")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"top_p is {self.top_p}", "Use a value above 0 and at most 1")
        if not 0 <= self.top_k < 2**31:
            raise BadInput(f"top_k is {self.top_k}", "Use 0 (all tokens) or a positive count")


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A prompt as token ids, and when to stop."""

    prompt_token_ids: tuple[int, ...]
    max_tokens: int = 128
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop_token_ids: tuple[int, ...] = ()
    """Stop at these in addition to the model's end-of-sequence tokens."""
    ignore_eos: bool = False
    """Ignore end-of-sequence and stop tokens; generate max_tokens."""


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """A new token, or the end. A stop token is delivered too, with finish_reason 'stop'."""

    token_id: int | None
    finished: bool = False
    finish_reason: FinishReason | None = None
    error: str | None = None


class GenerationHandle:
    """The caller's side of a request. Iterate it for TokenEvents; the last one is `finished`."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[TokenEvent] = queue.SimpleQueue()
        self._cancelled = threading.Event()

    def __iter__(self) -> Iterator[TokenEvent]:
        while True:
            event = self.next_event()
            yield event
            if event.finished:
                return

    def next_event(self, timeout_s: float | None = None) -> TokenEvent:
        """Wait for the next event; TimeoutError if none comes in time."""
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty as error:
            raise TimeoutError(f"no token within {timeout_s} s") from error

    def cancel(self) -> None:
        """Ask the engine to drop the request. A final event 'cancelled' follows."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def put(self, event: TokenEvent) -> None:
        """Deliver an event. Called by the engine only."""
        self._events.put(event)

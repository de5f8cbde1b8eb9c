"""What a caller asks of the engine and what comes back, token by token."""

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
    """How the next token is chosen. Temperature 0 is greedy and ignores the rest."""

    temperature: float = 0.0
    top_p: float = 1.0
    """Smallest set of tokens whose probability reaches this."""
    top_k: int = 0
    """Only the k likeliest; 0: all."""
    seed: int | None = None
    """Same seed, same request: same tokens, in every layout. None: drawn by the leader."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 100:
            raise BadInput(f"temperature is {self.temperature}", "It lies between 0 and 100")
        if not 0 < self.top_p <= 1:
            raise BadInput(f"top_p is {self.top_p}", "It lies above 0 and at most at 1")
        if not 0 <= self.top_k < 2**31:
            raise BadInput(f"top_k is {self.top_k}", "It is 0 (all tokens) or more")


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A prompt as token ids, and when to stop."""

    prompt_token_ids: tuple[int, ...]
    max_tokens: int = 128
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop_token_ids: tuple[int, ...] = ()
    """Stop at these besides the model's end-of-sequence tokens."""
    ignore_eos: bool = False
    """Go on to max_tokens whatever token comes."""


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One more token, or the end. A stop token is delivered too, with finish_reason 'stop'."""

    token_id: int | None
    finished: bool = False
    finish_reason: FinishReason | None = None
    error: str | None = None


class GenerationHandle:
    """The caller's end of a request: iterate it for TokenEvents; the last one is `finished`."""

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
        """Ask the engine to drop the request; a final event 'cancelled' follows."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    def put(self, event: TokenEvent) -> None:
        """Deliver an event. For the engine."""
        self._events.put(event)

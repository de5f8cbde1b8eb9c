"""The state of one request inside the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from cluster.runtime.generation import (
    FinishReason,
    GenerationHandle,
    GenerationRequest,
    SamplingParams,
    TokenEvent,
)


@dataclass(slots=True)
class Sequence:
    """A request with its tokens so far, of which the first `cached` are in the KV cache at `slot`."""

    request: GenerationRequest
    sampling: SamplingParams
    handle: GenerationHandle
    max_tokens: int
    stop_token_ids: frozenset[int]
    slot: int = -1
    cached: int = 0
    num_output: int = 0
    last_token: int = -1
    finished: bool = field(default=False)

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.request.prompt_token_ids

    def take(self, token_id: int) -> None:
        """Record and deliver a sampled token, with the finish reason if it is the last one."""
        self.last_token = token_id
        self.num_output += 1
        reason = self._reason_to_stop(token_id)
        self.finished = reason is not None
        self.handle.put(TokenEvent(token_id, self.finished, reason))

    def end(self, reason: FinishReason, error: str | None = None) -> None:
        """End without another token."""
        if not self.finished:
            self.finished = True
            self.handle.put(TokenEvent(None, True, reason, error))

    def _reason_to_stop(self, token_id: int) -> FinishReason | None:
        if token_id in self.stop_token_ids:
            return "stop"
        return "length" if self.num_output >= self.max_tokens else None

"""Which replica answers a request: the ready one with the fewest requests outstanding."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to choose tokens. `temperature` 0 is greedy; `seed` None draws afresh each time."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class GeneratedToken:
    """One token of an answer; the last one carries why it is the last ('stop' is the end-of-text token)."""

    token_id: int
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class ReplicaStats:
    """Counters of one replica since its start, and its ranks' states by name of state."""

    requests_total: int = 0
    output_tokens_total: int = 0
    all_reduces_per_token: float | None = None
    all_reduce_share: float | None = None
    """Part of the decode time spent in all-reduces, 0 to 1; None before the first token."""
    rank_states: tuple[str, ...] = ()
    """State of each rank, in rank order."""


class ReplicaError(Exception):
    """A replica failed while it answered; the message says how."""


class Replica(Protocol):
    """One full copy of the model: a group of ranks behind one queue."""

    @property
    def name(self) -> str:
        """What the replica is called in metrics and errors: its number."""

    @property
    def ready(self) -> bool:
        """A real token has come through all its ranks, and none has failed since."""

    @property
    def in_flight(self) -> int:
        """Requests that it holds now, waiting ones included."""

    def generate(self, prompt_ids: list[int], params: SamplingParams) -> AsyncIterator[GeneratedToken]:
        """Yield tokens as they come; closing the iterator cancels. Raise ReplicaError when it fails."""

    def stats(self) -> ReplicaStats:
        """Return the counters now, without waiting for a rank."""

    async def health(self, deadline_s: float) -> None:
        """Send one token through all ranks within the deadline, else raise ReplicaError with the reason."""


class ReplicaPool(Protocol):
    """The replicas of a deployment as they are now; the set may change between two looks."""

    def replicas(self) -> Sequence[Replica]:
        """All replicas, ready or not."""


def least_outstanding(
    replicas: Sequence[Replica], outstanding: Mapping[str, int], served: Mapping[str, int]
) -> Replica:
    """Choose the replica with the fewest outstanding requests; among equals the one that served fewest."""
    return min(replicas, key=lambda replica: (outstanding[replica.name], served[replica.name]))

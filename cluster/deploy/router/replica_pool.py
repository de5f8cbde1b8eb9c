"""Replicas as the router sees them (protocols, implemented by deploy/router_link.py), and choosing one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample. `temperature` 0 is greedy; `seed` None draws a new one for each request."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class GeneratedToken:
    """One token of an answer. The last one has a finish reason ('stop' for the end-of-text token)."""

    token_id: int
    finish_reason: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class ReplicaStats:
    """Counters of one replica since it started, and the states of its ranks."""

    requests_total: int = 0
    output_tokens_total: int = 0
    all_reduces_per_token: float | None = None
    all_reduce_share: float | None = None
    """Fraction of decode time spent in all-reduces; None before the first token."""
    rank_states: tuple[str, ...] = ()
    """State of each rank, in rank order."""


class ReplicaError(Exception):
    """A replica failed while answering; the message says how."""


class Replica(Protocol):
    """One full copy of the model: a group of ranks behind one queue."""

    @property
    def name(self) -> str:
        """The replica's number, as shown in metrics and errors."""

    @property
    def ready(self) -> bool:
        """Whether a token has gone through all its ranks and none has failed since."""

    @property
    def in_flight(self) -> int:
        """Requests it has accepted and not finished, including queued ones."""

    def generate(self, prompt_ids: list[int], params: SamplingParams) -> AsyncIterator[GeneratedToken]:
        """Yield tokens as they come. Closing the iterator cancels. Raises ReplicaError on failure."""

    def stats(self) -> ReplicaStats:
        """Return the current counters without waiting for a rank."""

    async def health(self, deadline_s: float) -> None:
        """Send one token through all ranks; raise ReplicaError if that fails or misses the deadline."""


class ReplicaPool(Protocol):
    """The current replicas of a deployment; the set may change between two calls."""

    def replicas(self) -> Sequence[Replica]:
        """All replicas, ready or not."""


def least_outstanding(
    replicas: Sequence[Replica], outstanding: Mapping[str, int], served: Mapping[str, int]
) -> Replica:
    """Return the replica with the fewest outstanding requests; on a tie, the one that has served fewest."""
    return min(replicas, key=lambda replica: (outstanding[replica.name], served[replica.name]))

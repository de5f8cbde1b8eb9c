"""Replicas as the router sees them (protocols, implemented by deploy/router_pool.py), and choosing one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

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
    running: int | None = None
    """Requests in the engine's batch; None: the engine has not said it. So are the figures below."""
    waiting: int | None = None
    kv_cache_use: float | None = None
    """Part of the KV cache in use, 0 to 1."""
    engine_prompt_tokens_total: float | None = None
    """Counted by an engine that runs as a process, as is the next one: proofs of health are included."""
    engine_output_tokens_total: float | None = None


class ReplicaError(Exception):
    """A replica failed while answering; the message says how."""


class BalancedReplica(Protocol):
    """One full copy of the model, whatever engine runs it: what it takes to choose it."""

    @property
    def name(self) -> str:
        """The replica's number, as shown in metrics and errors."""

    @property
    def ready(self) -> bool:
        """Whether it takes requests: it has generated a token, has not failed since, and is not draining."""

    @property
    def in_flight(self) -> int:
        """Requests it has accepted and not finished, including queued ones."""

    def stats(self) -> ReplicaStats:
        """Return the current counters without waiting for a rank."""

    async def health(self, deadline_s: float) -> None:
        """Raise ReplicaError if the replica does not answer within the deadline."""


class Replica(BalancedReplica, Protocol):
    """A replica of the built-in engine: a group of ranks behind one queue, spoken to in tokens."""

    def generate(self, prompt_ids: list[int], params: SamplingParams) -> AsyncIterator[GeneratedToken]:
        """Yield tokens as they come. Closing the iterator cancels. Raises ReplicaError on failure."""


ReplicaT = TypeVar("ReplicaT", bound=BalancedReplica)
ReplicaT_co = TypeVar("ReplicaT_co", bound=BalancedReplica, covariant=True)


class ReplicaPool(Protocol[ReplicaT_co]):
    """The current replicas of a deployment; the set may change between two calls."""

    def replicas(self) -> Sequence[ReplicaT_co]:
        """All replicas, ready or not."""


def least_outstanding(
    replicas: Sequence[ReplicaT], outstanding: Mapping[str, int], served: Mapping[str, int]
) -> ReplicaT:
    """Return the replica with the fewest outstanding requests; on a tie, the one that has served fewest."""
    return min(replicas, key=lambda replica: (outstanding[replica.name], served[replica.name]))

"""What an engine says of itself while it starts, read from its log line by line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cluster.frozen import FromAnyVersion
from cluster.text import CleanStr


class StartupPhase(StrEnum):
    """Where a server is between its first line and its first token."""

    STARTING = "starting"
    LOADING = "loading weights"
    PROFILING = "measuring memory"
    KV_CACHE = "allocating the KV cache"
    CAPTURING = "capturing CUDA graphs"
    LISTENING = "listening"


class StartupFacts(FromAnyVersion):
    """Figures of one server from its own log; None: not logged. Bytes are per GPU, of the largest rank."""

    version: CleanStr | None = None
    weights_bytes: int | None = None
    weights_load_s: float | None = None
    activation_bytes: int | None = None
    """Peak of a forward pass beyond the weights."""
    cuda_graph_bytes: int | None = None
    cuda_graph_s: float | None = None
    non_torch_bytes: int | None = None
    kv_cache_bytes: int | None = None
    kv_cache_tokens: int | None = None
    """Tokens that the replica's cache holds; with attention ranks, one rank's cache (see `of_replica`)."""
    max_model_len: int | None = None
    max_concurrency: float | None = None
    """Requests of max_model_len that fit the cache."""
    loaded_bytes: int | None = None
    """Weights and non-torch memory together, as releases log that do not log them apart."""
    expected_graph_bytes: int | None = None
    """CUDA graphs as estimated before they were captured."""
    activation_and_graph_bytes: int | None = None
    """Peak of a forward pass and expected graphs together."""


@dataclass(frozen=True, slots=True)
class LogNews:
    """What one line of the log adds."""

    phase: StartupPhase | None = None
    progress: float | None = None
    """0 to 1 within the phase."""
    facts: StartupFacts | None = None
    permanent_error: str = ""
    """Why a restart cannot help: an option, a package or a model that this engine does not take.

    It counts when the process ends before it has served: an engine may survive an error that it logs, and
    once it serves, the words of requests can get into its log.
    """


_SMALLEST = ("kv_cache_tokens", "max_concurrency", "kv_cache_bytes")
_LATEST = ("version", "max_model_len")


def merged(known: StartupFacts, news: StartupFacts) -> StartupFacts:
    """Return `known` with what `news` adds. Of several ranks, the largest share and smallest cache count."""
    values = known.model_dump()
    for name, value in news.model_dump().items():
        if value is not None:
            values[name] = _both(name, values[name], value)
    return _with_differences(StartupFacts(**values))


def of_replica(facts: StartupFacts, attention_dp: int) -> StartupFacts:
    """Return the facts with the cache of all attention ranks together, as the planner counts it."""
    tokens, requests = facts.kv_cache_tokens, facts.max_concurrency
    return facts.model_copy(
        update={
            "kv_cache_tokens": None if tokens is None else tokens * attention_dp,
            "max_concurrency": None if requests is None else requests * attention_dp,
        }
    )


def _both(name: str, before: Any, value: Any) -> Any:
    if before is None or name in _LATEST:
        return value
    return min(before, value) if name in _SMALLEST else max(before, value)


def _with_differences(facts: StartupFacts) -> StartupFacts:
    """Fill in what follows from sums: non-torch memory without the weights, activations without graphs."""
    update: dict[str, int] = {}
    if facts.loaded_bytes is not None and facts.weights_bytes is not None:
        update["non_torch_bytes"] = max(0, facts.loaded_bytes - facts.weights_bytes)
    if facts.activation_and_graph_bytes is not None:
        expected = facts.expected_graph_bytes or 0
        update["activation_bytes"] = max(0, facts.activation_and_graph_bytes - expected)
    return facts.model_copy(update=update) if update else facts

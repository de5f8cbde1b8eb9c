"""What an engine says of itself while it starts, read from its log line by line."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

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
    """Tokens that the replica's cache holds."""
    max_model_len: int | None = None
    max_concurrency: float | None = None
    """Requests of max_model_len that fit the cache."""


@dataclass(frozen=True, slots=True)
class LogNews:
    """What one line of the log adds."""

    phase: StartupPhase | None = None
    progress: float | None = None
    """0 to 1 within the phase."""
    facts: StartupFacts | None = None
    permanent_error: str = ""
    """Why a restart cannot help: an option, a package or a model that this engine does not take."""


def merged(known: StartupFacts, news: StartupFacts) -> StartupFacts:
    """Return `known` with what `news` adds. Of several ranks, the largest share and smallest cache count."""
    values = known.model_dump()
    for name, value in news.model_dump().items():
        if value is None:
            continue
        before = values[name]
        if before is None or name in ("version", "max_model_len"):
            values[name] = value
        elif name in ("kv_cache_tokens", "max_concurrency", "kv_cache_bytes"):
            values[name] = min(before, value)
        else:
            values[name] = max(before, value)
    return StartupFacts(**values)

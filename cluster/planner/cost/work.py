"""What a rank reads and computes in one stage and step: dense products, experts, cache."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.planner.layout import StageRange


@dataclass(frozen=True, slots=True)
class DenseWork:
    """Matrix products that every token passes through, of one weight format and compute dtype."""

    dtype: str
    weight_format: str
    weight_bytes: float
    flops_per_token: float


@dataclass(frozen=True, slots=True)
class ExpertWork:
    """Routed experts of equal layers. `experts` live on this rank; all bytes and FLOPs are this rank's."""

    dtype: str
    weight_format: str
    experts: int
    hit_share: float
    """Chance that a token picks one given expert."""
    bytes_per_expert: float
    """Summed over the layers."""
    flops_per_token: float
    """Of one token's share of work on this rank, summed over the layers."""
    activation_bytes_per_token: float
    """Rows in and out of the picked experts on this rank, 16 bits per element, summed over the layers."""


@dataclass(frozen=True, slots=True)
class CacheWork:
    """Attention over the cache, of all layers with one window."""

    window: int | None
    bytes_per_key: float
    """Cache bytes read for every token in the window."""
    flops_per_key: float
    """Multiply-adds x 2 between a new token and one cached token, decoding."""
    prefill_flops_per_key: float


@dataclass(frozen=True, slots=True)
class StageWork:
    """One rank's work in one stage."""

    num_layers: int
    num_expert_layers: int
    num_latent_layers: int
    dense: tuple[DenseWork, ...]
    head: tuple[DenseWork, ...]
    """Runs once per sequence, not once per prompt token."""
    experts: tuple[ExpertWork, ...]
    caches: tuple[CacheWork, ...]
    state_bytes: float
    """Recurrent state read and written for every decoded token."""
    activation_bytes_per_token: float
    """One pass over the hidden vector in every layer."""
    hidden_bytes_per_token: float
    all_reduces: int
    """Per step, when TP > 1."""


@dataclass(frozen=True, slots=True)
class WorkKey:
    """What a rank's work depends on, apart from the model."""

    tp: int
    expert_ranks: int
    first: int
    end: int
    is_first: bool
    is_last: bool
    kv_bytes: float
    native: frozenset[str]
    """Compute dtypes the GPU has."""


def work_key(
    stage: StageRange, tp: int, expert_ranks: int, kv_bytes: float, native: frozenset[str]
) -> WorkKey:
    """Return the key of `stage`'s work on a rank of a TP group."""
    ends = (stage.first, stage.end, stage.is_first, stage.is_last)
    return WorkKey(tp, expert_ranks, *ends, kv_bytes, native)

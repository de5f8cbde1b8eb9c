"""The limits a rank is started with: sequence length, concurrent sequences, and dtype."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.planner.result import Candidate, Plan

_DEFAULT_MODEL_LEN = 4096
_SIMULATED_MODEL_LEN = 2048
_MOST_SEQUENCES = 64
_SIMULATED_SEQUENCES = 16


@dataclass(frozen=True, slots=True)
class RankLimits:
    """What the built-in engine is started with."""

    dtype: str
    max_model_len: int
    """Tokens of the longest sequence, prompt and answer."""
    max_num_seqs: int
    """Sequences that run at once in one replica."""

    @property
    def cache_tokens(self) -> int:
        """Tokens of the cache that a replica takes: every sequence at full length."""
        return self.max_num_seqs * self.max_model_len


def limits_for(plan: Plan, candidate: Candidate, max_position: int, dtype: str) -> RankLimits:
    """Return the requested limits, bounded by the running model's `max_position` and the planned KV cache.

    A stand-in on a simulated cluster runs on the CPU and gets smaller limits.
    """
    request, simulated = plan.request, plan.cluster.simulated
    model_len = min(request.max_model_len or _DEFAULT_MODEL_LEN, max_position)
    num_seqs = request.max_num_seqs or _MOST_SEQUENCES
    if simulated:
        return RankLimits(dtype, min(model_len, _SIMULATED_MODEL_LEN), min(num_seqs, _SIMULATED_SEQUENCES))
    room = candidate.kv_cache_tokens
    model_len = max(2, min(model_len, room or model_len))
    return RankLimits(dtype, model_len, max(1, min(num_seqs, (room or model_len) // model_len)))

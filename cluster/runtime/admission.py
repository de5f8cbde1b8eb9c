"""Validates a request against the model before it is queued."""

from __future__ import annotations

import random

from cluster.errors import BadInput
from cluster.runtime.config import ModelConfig
from cluster.runtime.generation import GenerationHandle, GenerationRequest, SamplingParams
from cluster.runtime.sequence import Sequence


def admit(
    request: GenerationRequest, config: ModelConfig, max_model_len: int, eos_token_ids: tuple[int, ...]
) -> Sequence:
    """Return the sequence to queue, its answer capped by `max_model_len`; BadInput if it can never run."""
    length = len(request.prompt_token_ids)
    if not 1 <= length < max_model_len:
        raise BadInput(
            f"The prompt has {length} tokens; this deployment accepts 1 to {max_model_len - 1}",
            "Shorten it, or deploy with a larger --max-model-len",
        )
    if not all(0 <= token_id < config.vocab_size for token_id in request.prompt_token_ids):
        raise BadInput(f"The prompt has a token id outside the vocabulary (0 to {config.vocab_size - 1})")
    if request.max_tokens < 1:
        raise BadInput(f"max_tokens is {request.max_tokens}", "Use 1 or more")
    stop_ids = () if request.ignore_eos else (*eos_token_ids, *request.stop_token_ids)
    return Sequence(
        request,
        _seeded(request.sampling),
        GenerationHandle(),
        max_tokens=min(request.max_tokens, max_model_len - length),
        stop_token_ids=frozenset(stop_ids),
    )


def _seeded(sampling: SamplingParams) -> SamplingParams:
    """Choose the seed here, once, so that every rank that samples uses the same one."""
    seed = random.getrandbits(62) if sampling.seed is None else sampling.seed % 2**62
    return SamplingParams(sampling.temperature, sampling.top_p, sampling.top_k, seed)

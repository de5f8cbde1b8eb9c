"""Turns a request into a sequence, or says why it can never run."""

from __future__ import annotations

import random

from cluster.errors import BadInput
from cluster.runtime.config import ModelConfig
from cluster.runtime.generation import GenerationHandle, GenerationRequest, SamplingParams
from cluster.runtime.sequence import Sequence


def admit(
    request: GenerationRequest, config: ModelConfig, max_model_len: int, eos_token_ids: tuple[int, ...]
) -> Sequence:
    """Check a request against the model; the answer is cut to what `max_model_len` leaves."""
    length = len(request.prompt_token_ids)
    if not 1 <= length < max_model_len:
        raise BadInput(
            f"The prompt has {length} tokens; 1 to {max_model_len - 1} fit",
            "Shorten it, or deploy with a larger --max-model-len",
        )
    if not all(0 <= token_id < config.vocab_size for token_id in request.prompt_token_ids):
        raise BadInput(f"A prompt token lies outside the vocabulary of {config.vocab_size}")
    if request.max_tokens < 1:
        raise BadInput(f"max_tokens is {request.max_tokens}", "It is 1 or more")
    stop_ids = () if request.ignore_eos else (*eos_token_ids, *request.stop_token_ids)
    return Sequence(
        request,
        _seeded(request.sampling),
        GenerationHandle(),
        max_tokens=min(request.max_tokens, max_model_len - length),
        stop_token_ids=frozenset(stop_ids),
    )


def _seeded(sampling: SamplingParams) -> SamplingParams:
    """Fix the seed here, once: the ranks that sample must not each draw their own."""
    seed = random.getrandbits(62) if sampling.seed is None else sampling.seed % 2**62
    return SamplingParams(sampling.temperature, sampling.top_p, sampling.top_k, seed)

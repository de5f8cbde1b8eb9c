"""The limits an engine starts with: the user's, else its own defaults for this GPU and model."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.start import GpuSizeDefaults, StartDefaults
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.request import PlanRequest

DTYPE_BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "half": 2}
"""Bytes an element of a compute dtype, in the spellings people use."""


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one engine replica is started with."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    """Tokens of the largest forward pass; the memory profile is taken with it."""


def engine_limits(
    model: ModelSpec,
    engine: EngineProfile,
    request: PlanRequest,
    gpu_total_bytes: int,
    gpu: GpuSpec | None = None,
) -> EngineLimits:
    """Return the limits of one replica; vLLM's defaults depend on version and on the size of the GPU."""
    max_len = request.max_model_len or model.max_position
    by_size = _defaults_of_size(engine.defaults, gpu_total_bytes, gpu)
    seqs = request.max_num_seqs or by_size.max_num_seqs
    tokens = request.max_num_batched_tokens or _batched_tokens(engine.defaults, max_len, by_size)
    return EngineLimits(max_model_len=max_len, max_num_seqs=min(seqs, tokens), max_num_batched_tokens=tokens)


def _batched_tokens(defaults: StartDefaults, max_len: int, by_size: GpuSizeDefaults) -> int:
    if defaults.chunks_prefill:
        return by_size.max_num_batched_tokens
    # Without chunked prefill the longest prompt must fit one forward pass.
    long_context_chunks = defaults.long_context_chunks
    if long_context_chunks is not None and max_len > long_context_chunks.above_tokens:
        return long_context_chunks.max_num_batched_tokens
    return max(max_len, defaults.max_num_batched_tokens)


def _defaults_of_size(defaults: StartDefaults, gpu_total_bytes: int, gpu: GpuSpec | None) -> GpuSizeDefaults:
    """Return the defaults of the largest size that this GPU reaches, else those of the smallest GPUs."""
    smallest = GpuSizeDefaults(0, defaults.max_num_seqs, defaults.max_num_batched_tokens)
    if gpu is not None and gpu.type.startswith(defaults.small_gpu_types):
        return smallest
    reached = (size for size in defaults.gpu_sizes.values() if gpu_total_bytes >= size.min_bytes)
    return max(reached, key=lambda size: size.min_bytes, default=smallest)


def compute_dtype_bytes(model: ModelSpec, request: PlanRequest) -> int:
    """Return the bytes an activation element takes in the dtype the engine computes in."""
    return DTYPE_BYTES.get(request.dtype or "", DTYPE_BYTES.get(model.dtype, 2))

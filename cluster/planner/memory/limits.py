"""The limits an engine starts with: the user's, else its own defaults for this GPU and model."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.request import PlanRequest

DTYPE_BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "half": 2}
"""Bytes an element of a compute dtype, in the spellings people use."""


SIZE_CLASSES = ("huge", "large", "medium")
"""Engines choose defaults by the size of the GPU; their files say where each class begins."""


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
    size = _size_class(engine, gpu_total_bytes, gpu)
    by_size = engine.constants.get(f"{size}_gpu_max_num_seqs", engine.default_max_num_seqs)
    seqs = request.max_num_seqs or int(by_size)
    tokens = request.max_num_batched_tokens or _batched_tokens(engine, max_len, size)
    return EngineLimits(max_model_len=max_len, max_num_seqs=min(seqs, tokens), max_num_batched_tokens=tokens)


def _batched_tokens(engine: EngineProfile, max_len: int, size: str) -> int:
    constants = engine.constants
    default = engine.default_max_num_batched_tokens
    if constants.get("whole_prompt_batches"):
        # Without chunked prefill the longest prompt must fit one forward pass.
        chunk_above = constants.get("chunked_prefill_above_tokens", 0)
        if chunk_above and max_len > chunk_above:
            return int(constants["chunked_prefill_tokens"])
        return max(max_len, default)
    return int(constants.get(f"{size}_gpu_max_num_batched_tokens", default))


def _size_class(engine: EngineProfile, gpu_total_bytes: int, gpu: GpuSpec | None) -> str:
    """Return which of the engine's sizes of GPU this one is; '' is the smallest."""
    constants = engine.constants
    if gpu is not None and gpu.type.startswith(engine.small_default_gpus):
        return ""
    for size in SIZE_CLASSES:
        if gpu_total_bytes >= constants.get(f"{size}_gpu_min_bytes", float("inf")):
            return size
    return ""


def compute_dtype_bytes(model: ModelSpec, request: PlanRequest) -> int:
    """Return the bytes an activation element takes in the dtype the engine computes in."""
    return DTYPE_BYTES.get(request.dtype or "", DTYPE_BYTES.get(model.dtype, 2))

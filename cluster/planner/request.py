"""What the user requests: the workload, the limits, the pinned degrees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Objective = Literal["throughput", "latency"]
Workload = Literal["inference", "training"]
LoadFormat = Literal["auto", "safetensors", "dummy"]
EngineName = str
"""An engine with a file in cluster/catalog/engines; load_engine refuses any other."""

LONG_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""Compute dtypes as engines spell them."""

PINNED_AXES = ("tp", "pp", "dp", "ep")
"""Axes whose degree a user may pin."""


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Options of a plan. None means free (degrees) or the engine's or model's default (limits)."""

    tp: int | None = None
    pp: int | None = None
    dp: int | None = None
    ep: int | None = None
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    dtype: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None
    enforce_eager: bool = False
    kv_cache_memory_bytes: int | None = None
    """Size of each GPU's KV cache set by the user; None: what the budget leaves."""
    decode_context_parallel: int = 1
    """Ranks of a tensor-parallel group that split the tokens of a replicated KV cache."""
    input_tokens: int = 1024
    output_tokens: int = 512
    concurrency: int | None = None
    """Requests in flight in the whole layout; None: as many as KV cache and max_num_seqs allow."""
    objective: Objective = "throughput"
    ttft_s: float | None = None
    tpot_s: float | None = None
    workload: Workload = "inference"
    engine: EngineName = "vllm"
    engine_asked: bool = False
    """The user named the engine; False: it is a default."""
    engine_version: str | None = None
    load_format: LoadFormat = "auto"
    """Weights of a deployment, as in vLLM: the checkpoint's, or 'dummy' for random ones."""
    no_calibration: bool = False
    """Ignore what was measured on the cluster, and plan with the built-in constants."""
    top: int = 8

    @property
    def pins(self) -> dict[str, int]:
        """The pinned degrees, by axis."""
        degrees = ((axis, getattr(self, axis)) for axis in PINNED_AXES)
        return {axis: degree for axis, degree in degrees if degree is not None}

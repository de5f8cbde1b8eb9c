"""What an engine is started with: the user's options, and the engine's own defaults for the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.start import GpuSizeDefaults, StartDefaults
from cluster.catalog.engine_profile.stored import PackedLatents
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.request import PlanRequest

DTYPE_BYTES = {"fp32": 4, "float32": 4, "bf16": 2, "bfloat16": 2, "fp16": 2, "float16": 2, "half": 2}
"""Bytes per element of a compute dtype, in all common spellings."""

_PACKED_CACHE_BYTES = {
    "fp8": 1.0,
    "fp8_e4m3": 1.0,
    "fp8_e5m2": 1.0,
    "fp8_inc": 1.0,
    "int8": 1.0,
    "nvfp4": 0.5625,
    "fp4": 0.5625,
}


@dataclass(frozen=True, slots=True)
class Launch:
    """The options of one engine, every default filled in. All ranks of a replica share them."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    """Tokens of the largest forward pass; the memory profile is taken with it."""
    gpu_memory_utilization: float
    utilization_is_default: bool
    """The user did not set the fraction, so an engine that computes its own does so."""
    kv_cache_memory_bytes: int | None
    """Size of each GPU's KV cache set by the user; None: what the budget leaves."""
    enforce_eager: bool
    dtype_bytes: int
    """Bytes of an activation element."""
    cache_element_bytes: float
    packs_sparse_latents: bool
    """Latents read by a sparse indexer are kept in the engine's own packed form."""
    decode_context_parallel: int
    quantization: str | None
    """As set on the command line."""

    def at_utilization(self, fraction: float) -> Launch:
        """Return the same launch with this memory fraction."""
        return replace(self, gpu_memory_utilization=fraction, utilization_is_default=False)

    def at_length(self, max_model_len: int) -> Launch:
        """Return the same launch with another max_model_len."""
        return replace(self, max_model_len=max_model_len)


def launch_on(
    model: ModelSpec,
    engine: EngineProfile,
    request: PlanRequest,
    gpu_total_bytes: int,
    gpu: GpuSpec | None = None,
) -> Launch:
    """Return what the engine starts with on GPUs of this total (NVML's, in bytes) and type.

    Some defaults depend on the engine's version and on the size of the GPU; `gpu` is None if only its memory
    is known.
    """
    max_len = request.max_model_len or model.max_position
    by_size = _defaults_of_size(engine.defaults, gpu_total_bytes, gpu)
    seqs = request.max_num_seqs or by_size.max_num_seqs
    tokens = request.max_num_batched_tokens or _batched_tokens(engine.defaults, max_len, by_size)
    return Launch(
        max_model_len=max_len,
        max_num_seqs=min(seqs, tokens),
        max_num_batched_tokens=tokens,
        gpu_memory_utilization=utilization(engine, request),
        utilization_is_default=request.gpu_memory_utilization is None,
        kv_cache_memory_bytes=request.kv_cache_memory_bytes,
        enforce_eager=request.enforce_eager,
        dtype_bytes=_dtype_bytes(model, request),
        cache_element_bytes=cache_element_bytes(model, engine, request),
        packs_sparse_latents=_packs_sparse(model, engine.cache.packed_latents, request),
        decode_context_parallel=request.decode_context_parallel,
        quantization=request.quantization,
    )


def utilization(engine: EngineProfile, request: PlanRequest) -> float:
    """Return the user's memory fraction, else the engine's default."""
    asked = request.gpu_memory_utilization
    return engine.budget.default_utilization if asked is None else asked


def cache_element_bytes(model: ModelSpec, engine: EngineProfile, request: PlanRequest) -> float:
    """Return bytes per cached element: as requested, else by the checkpoint, else the compute dtype's."""
    asked = request.kv_cache_dtype
    if asked in (None, "auto"):
        stored = model.quantization.kv_cache_dtype if model.quantization else None
        asked = stored if stored and engine.cache.follows_checkpoint_dtype else None
    if asked is None and _is_narrow_recipe(model, request):
        asked = "fp8" if engine.cache.fp8_with_quantization else None
    if asked is None:
        return _dtype_bytes(model, request)
    return _PACKED_CACHE_BYTES.get(asked, float(DTYPE_BYTES.get(asked, 2)))


def _dtype_bytes(model: ModelSpec, request: PlanRequest) -> int:
    """Return the bytes an element takes in the dtype the engine computes in."""
    return DTYPE_BYTES.get(request.dtype or "", DTYPE_BYTES.get(model.dtype, 2))


def _is_narrow_recipe(model: ModelSpec, request: PlanRequest) -> bool:
    """Return whether FP8 or FP4 quantization was requested by name for an unquantized checkpoint."""
    named = model.quantization if request.quantization else None
    return named is not None and named.weight_format.name in ("fp8", "nvfp4")


def _packs_sparse(model: ModelSpec, packed_latents: PackedLatents | None, request: PlanRequest) -> bool:
    """Return whether latents read by a sparse indexer are kept in the engine's own packed form."""
    if packed_latents is None:
        return False
    by_itself = (
        request.kv_cache_dtype in (None, "auto") and model.architecture in packed_latents.architectures
    )
    return by_itself or request.kv_cache_dtype in _PACKED_CACHE_BYTES


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

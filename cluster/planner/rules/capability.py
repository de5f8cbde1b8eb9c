"""What the GPU must support: minimum compute capability of engine, dtype and quantization."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.support import Capability, Quantization
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.request import LONG_DTYPES, PlanRequest
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule

_BF16_NAMES = ("bf16", "bfloat16")
_BF16_CAPABILITY = (8, 0)
_ANY_GPU: Capability = (0, 0)
_FP16_NAMES = ("fp16", "float16")
_FP8_NAMES = ("fp8", "fp8_e4m3", "fp8_e5m2")


def capability_rejections(
    model: ModelSpec, gpu: GpuSpec | None, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    """Yield what this GPU type does not support for this model; nothing for an unknown GPU type."""
    yield from _unknown_quantization(model, engine, request)
    yield from _computed_in(model, engine, request)
    if gpu is None:
        return
    if gpu.compute_capability < engine.kernels.min_capability:
        yield Rejection(
            Rule.ENGINE_UNSUPPORTED,
            f"{engine.name} {engine.version} needs compute capability "
            f"{_text(engine.kernels.min_capability)}; {gpu.type} has {_text(gpu.compute_capability)}",
        )
    least = engine.kernels.architectures.get(model.architecture)
    if least is not None and gpu.compute_capability < least:
        yield Rejection(
            Rule.ENGINE_UNSUPPORTED,
            f"{engine.name} {engine.version} needs compute capability {_text(least)} for "
            f"{model.architecture}; {gpu.type} has {_text(gpu.compute_capability)}",
        )
    yield from _dtype(model, gpu, engine, request)
    yield from _cache_dtype(model, gpu, engine, request)
    yield from _quantization(model, gpu, engine, request)


def _cache_dtype(
    model: ModelSpec, gpu: GpuSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    fp8_cache = engine.kernels.fp8_cache
    if fp8_cache is None or request.kv_cache_dtype not in _FP8_NAMES:
        return
    least = fp8_cache.architectures.get(model.architecture, fp8_cache.min_capability)
    if gpu.compute_capability < least:
        yield Rejection(
            Rule.DTYPE_UNSUPPORTED,
            f"an FP8 KV cache needs compute capability {_text(least)} here; "
            f"{gpu.type} has {_text(gpu.compute_capability)}",
        )


def _dtype(
    model: ModelSpec, gpu: GpuSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    has_bf16 = engine.kernels.emulates_bf16 or gpu.compute_capability >= _BF16_CAPABILITY
    overflows = model.architecture in engine.kernels.refuses_fp16
    if overflows and (request.dtype in _FP16_NAMES or (request.dtype is None and not has_bf16)):
        name = f"{engine.name} {engine.version} does not run {model.architecture} in float16"
        yield Rejection(Rule.DTYPE_UNSUPPORTED, name if has_bf16 else f"{name}, and {gpu.type} has no bf16")
    if has_bf16:
        return
    asked = request.dtype or ("" if engine.kernels.falls_back_to_fp16 else model.dtype)
    if asked in _BF16_NAMES:
        yield Rejection(
            Rule.DTYPE_UNSUPPORTED,
            f"bf16 needs compute capability 8.0; {gpu.type} has {_text(gpu.compute_capability)}",
        )


def _method(model: ModelSpec, request: PlanRequest) -> str | None:
    return model.quantization.method if model.quantization else request.quantization


def _unknown_quantization(
    model: ModelSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    method = _method(model, request)
    if method and method not in engine.quantization.min_capability:
        known = ", ".join(sorted(engine.quantization.min_capability)) or "none"
        yield Rejection(
            Rule.QUANTIZATION_UNSUPPORTED,
            f"{engine.name} {engine.version} does not support {method} weights, only {known}",
        )


def _computed_in(model: ModelSpec, engine: EngineProfile, request: PlanRequest) -> Iterator[Rejection]:
    """Yield a rejection if this quantization's kernels do not support the requested dtype."""
    method = _method(model, request) or ""
    by_name = engine.quantization.compute_dtypes_by_name.get(request.quantization or "")
    allowed = by_name or engine.quantization.compute_dtypes.get(method)
    # The engine overrides a config's dtype to suit its kernels, but not the user's.
    if request.dtype is None or allowed is None or request.dtype in allowed:
        return
    named = " or ".join(LONG_DTYPES.get(name, name) for name in allowed)
    yield Rejection(
        Rule.DTYPE_UNSUPPORTED,
        f"{engine.name} {engine.version} runs {method} weights in {named}, "
        f"not in {LONG_DTYPES.get(request.dtype, request.dtype)}",
    )


def _quantization(
    model: ModelSpec, gpu: GpuSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    method = _method(model, request)
    least = _least_capability(model, method, engine.quantization) if method else None
    if least is None:
        return
    if gpu.compute_capability < least:
        weight = model.quantization.weight_format.name if model.quantization else method
        rule = Rule.DTYPE_UNSUPPORTED if weight in _FP8_NAMES else Rule.QUANTIZATION_UNSUPPORTED
        named = weight if weight == method else f"{method} {weight}"
        yield Rejection(
            rule,
            f"{named} weights need compute capability {_text(least)}; "
            f"{gpu.type} has {_text(gpu.compute_capability)}",
        )


def _least_capability(model: ModelSpec, method: str, quantization: Quantization) -> Capability | None:
    """Return the minimum capability of a method and its scheme in this model; None for an unknown method."""
    stored, least = model.quantization, quantization.min_capability.get(method)
    if stored is None or least is None:
        return least
    by_scheme = (
        quantization.activations_capability
        if stored.activation_dtype
        else quantization.weight_only_capability
    )
    least = max(least, by_scheme.get(method, {}).get(stored.weight_format.name, _ANY_GPU))
    if model.is_moe and stored.activation_dtype:
        by_activation = quantization.experts_capability.get(method, {})
        least = max(least, by_activation.get(stored.activation_dtype, _ANY_GPU))
    return least


def _text(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"

"""What the GPU must be able to do: least compute capability of engine, dtype and quantisation."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.request import PlanRequest
from cluster.planner.result import Rejection

_BF16_NAMES = ("bf16", "bfloat16")
_BF16_CAPABILITY = (8, 0)
_FP16_NAMES = ("fp16", "float16")
LONG_NAMES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""Compute dtypes as engines spell them."""
_FP8_NAMES = ("fp8", "fp8_e4m3", "fp8_e5m2")


def capability_rejections(
    model: ModelSpec, gpu: GpuSpec | None, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    """Yield what this GPU type cannot do for this model; nothing when the GPU type is not known."""
    yield from _unknown_quantization(model, engine, request)
    yield from _computed_in(model, engine, request)
    if gpu is None:
        return
    if gpu.compute_capability < engine.min_capability:
        yield Rejection(
            "engine_unsupported",
            f"{engine.name} {engine.version} needs compute capability {_text(engine.min_capability)}, "
            f"{gpu.type} has {_text(gpu.compute_capability)}",
        )
    least = engine.architecture_capabilities.get(model.architecture)
    if least is not None and gpu.compute_capability < least:
        yield Rejection(
            "engine_unsupported",
            f"{engine.name} {engine.version} runs {model.architecture} on compute capability "
            f"{_text(least)} or newer, {gpu.type} has {_text(gpu.compute_capability)}",
        )
    yield from _dtype(model, gpu, engine, request)
    yield from _cache_dtype(model, gpu, engine, request)
    yield from _quantization(model, gpu, engine, request)


def _cache_dtype(
    model: ModelSpec, gpu: GpuSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    if request.kv_cache_dtype not in _FP8_NAMES:
        return
    for_any = engine.constants.get("cache_fp8_capability", 0)
    least = _capability(engine.constants.get(f"cache_fp8_capability_{model.architecture}", for_any))
    if gpu.compute_capability < least:
        yield Rejection(
            "dtype_unsupported",
            f"an FP8 KV cache needs compute capability {_text(least)} here, "
            f"{gpu.type} has {_text(gpu.compute_capability)}",
        )


def _dtype(
    model: ModelSpec, gpu: GpuSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    has_bf16 = engine.constants.get("emulates_bf16", 0) or gpu.compute_capability >= _BF16_CAPABILITY
    overflows = model.architecture in engine.refuses_fp16
    if overflows and (request.dtype in _FP16_NAMES or (request.dtype is None and not has_bf16)):
        name = f"{engine.name} {engine.version} does not compute {model.architecture} in float16"
        yield Rejection("dtype_unsupported", name if has_bf16 else f"{name}, and {gpu.type} has no bf16")
    if has_bf16:
        return
    falls_back = engine.constants.get("falls_back_to_fp16", 0)
    asked = request.dtype or ("" if falls_back else model.dtype)
    if asked in _BF16_NAMES:
        yield Rejection(
            "dtype_unsupported",
            f"bf16 needs compute capability 8.0, {gpu.type} has {_text(gpu.compute_capability)}",
        )


def _method(model: ModelSpec, request: PlanRequest) -> str | None:
    return model.quantization.method if model.quantization else request.quantization


def _unknown_quantization(
    model: ModelSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    method = _method(model, request)
    if method and method not in engine.quantizations:
        known = ", ".join(sorted(engine.quantizations)) or "none"
        yield Rejection(
            "quantization_unsupported",
            f"{engine.name} {engine.version} does not run {method} weights, only {known}",
        )


def _computed_in(model: ModelSpec, engine: EngineProfile, request: PlanRequest) -> Iterator[Rejection]:
    """Yield that the kernels of this quantisation do not compute in the dtype that was asked for."""
    method = _method(model, request) or ""
    by_name = engine.compute_dtypes.get(f"named_{request.quantization}")
    allowed = by_name or engine.compute_dtypes.get(method)
    # What a config states is replaced by what the kernels have; what a user states is not.
    if request.dtype is None or allowed is None or request.dtype in allowed:
        return
    named = " or ".join(LONG_NAMES.get(name, name) for name in allowed)
    yield Rejection(
        "dtype_unsupported",
        f"{engine.name} {engine.version} computes {method} weights in {named}, "
        f"not in {LONG_NAMES.get(request.dtype, request.dtype)}",
    )


def _quantization(
    model: ModelSpec, gpu: GpuSpec, engine: EngineProfile, request: PlanRequest
) -> Iterator[Rejection]:
    method = _method(model, request)
    least = engine.quantizations.get(method or "")
    if method is None or least is None:
        return
    activation = model.quantization.activation_dtype if model.quantization else None
    if model.is_moe:
        least = max(least, _capability(engine.constants.get(f"moe_{activation}_capability_{method}", 0)))
    least = max(least, _capability(engine.constants.get(_scheme_key(model, method), 0)))
    if gpu.compute_capability < least:
        weight = model.quantization.weight_format.name if model.quantization else method
        rule = "dtype_unsupported" if weight in _FP8_NAMES else "quantization_unsupported"
        named = weight if weight == method else f"{method} {weight}"
        yield Rejection(
            rule,
            f"{named} weights need compute capability {_text(least)}, "
            f"{gpu.type} has {_text(gpu.compute_capability)}",
        )


def _scheme_key(model: ModelSpec, method: str) -> str:
    """Return the name under which an engine's file bounds one scheme of a method, as in w4a16."""
    if model.quantization is None:
        return ""
    weight = model.quantization.weight_format.name
    return f"capability_{method}_{weight}" + ("" if model.quantization.activation_dtype else "_alone")


def _capability(tens: float) -> tuple[int, int]:
    return int(tens) // 10, int(tens) % 10


def _text(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"

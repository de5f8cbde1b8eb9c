"""All rules checked before memory: shapes, quantization, hardware, engine."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest
from cluster.planner.result import Rejection
from cluster.planner.rules.capability import capability_rejections
from cluster.planner.rules.context_parallel import context_rejections
from cluster.planner.rules.divisibility import split_rejections
from cluster.planner.rules.engine_features import engine_rejections

_cache: IdentityCache[tuple[Rejection, ...]] = IdentityCache()


def layout_rejections(
    model: ModelSpec, layout: Layout, gpu: GpuSpec | None, engine: EngineProfile, request: PlanRequest
) -> tuple[Rejection, ...]:
    """Return why this layout cannot run on this GPU type, in the order an engine would fail."""
    dtype_key = (request.dtype, request.quantization, request.kv_cache_dtype, request.decode_context_parallel)
    key = (layout, gpu.type if gpu else None, engine.name, engine.version, dtype_key)
    return _cache.get(model, key, lambda: _rejections(model, layout, gpu, engine, request))


def _rejections(
    model: ModelSpec, layout: Layout, gpu: GpuSpec | None, engine: EngineProfile, request: PlanRequest
) -> tuple[Rejection, ...]:
    return (
        *capability_rejections(model, gpu, engine, request),
        *split_rejections(model, layout, engine),
        *engine_rejections(model, layout, engine),
        *context_rejections(model, layout, engine, request.decode_context_parallel),
    )

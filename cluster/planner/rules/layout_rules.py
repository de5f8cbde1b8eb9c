"""All rules that hold before memory is counted: shapes, quantisation, hardware, engine."""

from __future__ import annotations

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.identity_cache import IdentityCache
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest
from cluster.planner.result import Rejection
from cluster.planner.rules.capability import capability_rejections
from cluster.planner.rules.divisibility import split_problems
from cluster.planner.rules.engine_features import engine_rejections
from cluster.planner.rules.fixes import split_fix
from cluster.planner.rules.other_engines import uneven_fix
from cluster.planner.rules.problem import Problem

_cache: IdentityCache[tuple[Rejection, ...]] = IdentityCache()


def layout_rejections(
    model: ModelSpec, layout: Layout, gpu: GpuSpec | None, engine: EngineProfile, request: PlanRequest
) -> tuple[Rejection, ...]:
    """Return why this layout cannot run on this GPU type, the first reason an engine would meet first."""
    dtype_key = (request.dtype, request.quantization, request.kv_cache_dtype)
    key = (layout, gpu.type if gpu else None, engine.name, engine.version, dtype_key, request.tp)
    return _cache.get(model, key, lambda: _rejections(model, layout, gpu, engine, request))


def _rejections(
    model: ModelSpec, layout: Layout, gpu: GpuSpec | None, engine: EngineProfile, request: PlanRequest
) -> tuple[Rejection, ...]:
    # Asking every engine takes a while, so only for the split that the user insists on.
    pinned = request.tp == layout.tp and not engine.uneven_heads
    split = (
        Rejection(
            problem.rule,
            problem.message,
            split_fix(model, layout, engine, problem) + (uneven_fix(model, layout) if pinned else ""),
        )
        for problem in _one_a_rule(split_problems(model, layout, engine))
    )
    return (
        *capability_rejections(model, gpu, engine, request),
        *split,
        *engine_rejections(model, layout, engine),
    )


def _one_a_rule(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.rule, problem)
    return tuple(first.values())

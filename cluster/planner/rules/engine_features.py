"""Degrees that a model or an engine does not offer at all."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout
from cluster.planner.result import Rejection


def engine_rejections(model: ModelSpec, layout: Layout, engine: EngineProfile) -> Iterator[Rejection]:
    """Yield the axes of this layout that the model or the engine does not have."""
    name = f"{engine.name} {engine.version}"
    if engine.architectures and model.architecture not in engine.architectures:
        yield Rejection(
            "engine_unsupported",
            f"{name} does not run {model.architecture or 'this architecture'}",
        )
    if layout.pp > model.num_layers:
        yield Rejection(
            "too_few_layers",
            f"PP={layout.pp} is more than the {model.num_layers} layers",
        )
    if layout.pp > 1 and not model.supports_pp:
        yield Rejection("pp_unsupported", f"{model.architecture} has no pipeline parallelism")
    elif layout.pp > 1 and not engine.supports_pp:
        yield Rejection("pp_unsupported", f"{name} has no pipeline parallelism")
    if layout.ep > 1 and not model.is_moe:
        yield Rejection("engine_unsupported", f"EP={layout.ep} on a model without experts")
    elif layout.ep > 1 and not engine.supports_ep:
        yield Rejection("engine_unsupported", f"{name} has no expert parallelism")
    if layout.dp_attention and not engine.supports_dp_attention:
        yield Rejection("engine_unsupported", f"{name} has no data-parallel attention")

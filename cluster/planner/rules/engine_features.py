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
            f"--engine vllm, or a model of {', '.join(engine.architectures)}",
        )
    if layout.pp > model.num_layers:
        yield Rejection(
            "too_few_layers",
            f"PP={layout.pp} is more than the {model.num_layers} layers",
            f"PP={model.num_layers}",
        )
    if layout.pp > 1 and not model.supports_pp:
        yield Rejection(
            "pp_unsupported", f"{model.architecture} has no pipeline parallelism", _without_pp(layout)
        )
    elif layout.pp > 1 and not engine.supports_pp:
        yield Rejection("pp_unsupported", f"{name} has no pipeline parallelism", _without_pp(layout))
    if layout.ep > 1 and not model.is_moe:
        yield Rejection("engine_unsupported", f"EP={layout.ep} on a model without experts", "EP=1")
    elif layout.ep > 1 and not engine.supports_ep:
        yield Rejection("engine_unsupported", f"{name} has no expert parallelism", "EP=1, or a newer engine")
    if layout.dp_attention and not engine.supports_dp_attention:
        yield Rejection(
            "engine_unsupported", f"{name} has no data-parallel attention", f"TP={layout.tp * layout.dp}"
        )


def _without_pp(layout: Layout) -> str:
    return f"PP=1, TP={layout.tp * layout.pp}"

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
    # An engine of others may know a model whose config leaves its architecture out.
    named = bool(model.architecture) or engine.deployable
    if named and engine.architectures and model.architecture not in engine.architectures:
        yield Rejection(
            "engine_unsupported",
            f"{name} does not run {model.architecture or 'this architecture'}",
        )
    yield from _too_early(model, engine)
    if layout.pp > model.num_layers:
        yield Rejection(
            "too_few_layers",
            f"PP={layout.pp} is more than the {model.num_layers} layers",
        )
    if layout.pp > 1 and not model.supports_pp:
        yield Rejection("pp_unsupported", f"{model.architecture} has no pipeline parallelism")
    elif layout.pp > 1 and not engine.supports_pp:
        yield Rejection("pp_unsupported", f"{name} has no pipeline parallelism")
    elif layout.pp > 1 and not _has_stages(model.architecture, engine):
        yield Rejection("pp_unsupported", f"{name} has no pipeline parallelism for {model.architecture}")
    if layout.tp > 1 and (method := _stored_method(model)) in engine.undivided_quantizations:
        yield Rejection(
            "quantization_unsupported", f"{name} does not divide weights stored by {method} over TP ranks"
        )
    if layout.ep > 1 and not model.is_moe:
        yield Rejection("engine_unsupported", f"EP={layout.ep} on a model without experts")
    elif layout.ep > 1 and not engine.supports_ep:
        yield Rejection("engine_unsupported", f"{name} has no expert parallelism")
    if layout.dp_attention and not engine.supports_dp_attention:
        yield Rejection("engine_unsupported", f"{name} has no data-parallel attention")


def _too_early(model: ModelSpec, engine: EngineProfile) -> Iterator[Rejection]:
    """Yield that a later version of the engine was the first to run this model."""
    first, what = engine.not_yet.get(model.architecture), model.architecture
    if first is None:
        first, what = engine.not_yet.get(f"rope {model.rope_type}"), f"{model.rope_type} rotary scaling"
    if first is not None:
        text = f"{engine.name} {engine.version} does not run {what}: {engine.name} has it from {first} on"
        yield Rejection("engine_unsupported", text)


def _has_stages(architecture: str | None, engine: EngineProfile) -> bool:
    if engine.with_pp and architecture not in engine.with_pp:
        return False
    return architecture not in engine.without_pp


def _stored_method(model: ModelSpec) -> str | None:
    """Return how the checkpoint is quantised; None where an engine quantises it while loading."""
    quantization = model.quantization
    return quantization.method if quantization and not quantization.on_request else None

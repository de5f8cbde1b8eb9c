"""Axes of parallelism that a model or an engine does not support."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.catalog.engine_profile import EngineProfile
from cluster.catalog.engine_profile.support import Models, Pipeline
from cluster.catalog.model_spec import ModelSpec
from cluster.planner.layout import Layout
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule


def engine_rejections(model: ModelSpec, layout: Layout, engine: EngineProfile) -> Iterator[Rejection]:
    """Yield what this layout uses that the model or the engine does not support."""
    name = f"{engine.name} {engine.version}"
    if not _runs(model.architecture, engine.models):
        yield Rejection(
            Rule.ENGINE_UNSUPPORTED,
            f"{name} does not support {model.architecture or 'this architecture'}",
        )
    yield from _too_early(model, engine)
    if layout.pp > model.num_layers:
        yield Rejection(
            Rule.TOO_FEW_LAYERS,
            f"PP={layout.pp} exceeds the {model.num_layers} layers",
        )
    if layout.pp > 1:
        yield from _pipeline_rejections(model, engine.parallelism.pipeline, name)
    if layout.tp > 1 and (method := _stored_method(model)) in engine.quantization.undivided:
        yield Rejection(Rule.QUANTIZATION_UNSUPPORTED, f"{name} cannot split {method} weights over TP ranks")
    if layout.ep > 1 and not model.is_moe:
        yield Rejection(Rule.ENGINE_UNSUPPORTED, f"EP={layout.ep} needs a mixture-of-experts model")
    elif layout.ep > 1 and not engine.parallelism.experts:
        yield Rejection(Rule.ENGINE_UNSUPPORTED, f"{name} does not support expert parallelism")
    if layout.dp_attention and not engine.parallelism.attention_dp:
        yield Rejection(Rule.ENGINE_UNSUPPORTED, f"{name} does not support data-parallel attention")


def _too_early(model: ModelSpec, engine: EngineProfile) -> Iterator[Rejection]:
    """Yield a rejection if only later versions of the engine run this model."""
    not_yet = engine.not_yet
    first, what = not_yet.architectures.get(model.architecture), model.architecture
    if first is None:
        first, what = not_yet.rope_types.get(model.rope_type), f"{model.rope_type} rotary scaling"
    if first is not None:
        text = f"{engine.name} {engine.version} does not support {what}; {engine.name} {first} and later do"
        yield Rejection(Rule.ENGINE_UNSUPPORTED, text)


def _runs(architecture: str, models: Models) -> bool:
    """Return whether the engine runs an architecture; '' (config names none) may be supported too."""
    if not models.architectures or architecture in models.architectures:
        return True
    return not architecture and not models.needs_architecture


def _pipeline_rejections(model: ModelSpec, pipeline: Pipeline | None, engine: str) -> Iterator[Rejection]:
    if not model.supports_pp:
        yield Rejection(Rule.PP_UNSUPPORTED, f"{model.architecture} does not support pipeline parallelism")
    elif pipeline is None:
        yield Rejection(Rule.PP_UNSUPPORTED, f"{engine} does not support pipeline parallelism")
    elif not _has_stages(model.architecture, pipeline):
        yield Rejection(
            Rule.PP_UNSUPPORTED, f"{engine} does not support pipeline parallelism for {model.architecture}"
        )


def _has_stages(architecture: str, pipeline: Pipeline) -> bool:
    if pipeline.only_architectures and architecture not in pipeline.only_architectures:
        return False
    return architecture not in pipeline.except_architectures


def _stored_method(model: ModelSpec) -> str | None:
    """Return the checkpoint's quantization method; None if the engine quantizes it while loading."""
    quantization = model.quantization
    return quantization.method if quantization and not quantization.on_request else None

"""The question as a trainer sees it: 16-bit parameters, and none of an inference engine's rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.catalog.engine_catalog import load_trainer
from cluster.planner.layout import Layout
from cluster.planner.memory.trained import in_16_bits
from cluster.planner.result import Rejection
from cluster.planner.rule import Rule
from cluster.planner.rules.divisibility import split_rejections
from cluster.planner.search.context import Context


def as_trained(context: Context) -> Context:
    """Return the same question of the model in 16 bits, for a trainer in place of the engine."""
    return replace(context, model=in_16_bits(context.model), engine=load_trainer())


def notes_for(context: Context) -> tuple[str, ...]:
    """Return what is planned otherwise than the model is stored, or than was asked for."""
    expert, wide = context.request.ep not in (None, 1), context.request.dtype == "fp32"
    notes = (
        format_note(context),
        "float32 is not planned for training: mixed precision keeps 16-bit parameters" if wide else "",
        "EP is not planned for training: experts are divided over TP" if expert else "",
    )
    return tuple(note for note in notes if note)


def format_note(context: Context) -> str:
    """Say that a quantised model is not trained as it is stored; '' for one that is not quantised."""
    quantization = context.model.quantization
    if quantization is None:
        return ""
    return f"{quantization.method} weights are not trained: the plan is for 16-bit parameters"


def shape_rejections(context: Context, layout: Layout) -> tuple[Rejection, ...]:
    """Return why the 16-bit model cannot be divided so: stages without a layer, heads and widths."""
    return tuple(_rejections(as_trained(context), layout))


def _rejections(context: Context, layout: Layout) -> Iterator[Rejection]:
    layers = context.model.num_layers
    if layout.pp > layers:
        yield Rejection(Rule.TOO_FEW_LAYERS, f"PP={layout.pp} needs {layout.pp} layers; there are {layers}")
    yield from split_rejections(context.model, layout, context.engine)

"""The planning context for training: 16-bit parameters, and a trainer's rules in place of an engine's."""

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
    """Return the context with the model in 16 bits and a trainer in place of the engine."""
    return replace(context, model=in_16_bits(context.model), engine=load_trainer())


def notes_for(context: Context) -> tuple[str, ...]:
    """Return notes on how the plan differs from the checkpoint or the user's options."""
    expert, wide = context.request.ep not in (None, 1), context.request.dtype == "fp32"
    notes = (
        format_note(context),
        "training is planned in mixed precision with 16-bit parameters, not in float32" if wide else "",
        "EP is not planned for training: experts are split over TP" if expert else "",
    )
    return tuple(note for note in notes if note)


def format_note(context: Context) -> str:
    """Return a note that a quantized model is trained in 16 bits; '' for an unquantized one."""
    quantization = context.model.quantization
    if quantization is None:
        return ""
    return f"{quantization.method} weights cannot be trained: planned with 16-bit parameters"


def shape_rejections(context: Context, layout: Layout) -> tuple[Rejection, ...]:
    """Return why the 16-bit model cannot be split this way: empty stages, heads, widths."""
    return tuple(_rejections(as_trained(context), layout))


def _rejections(context: Context, layout: Layout) -> Iterator[Rejection]:
    layers = context.model.num_layers
    if layout.pp > layers:
        yield Rejection(Rule.TOO_FEW_LAYERS, f"PP={layout.pp} exceeds the {layers} layers")
    yield from split_rejections(context.model, layout, context.engine)

"""How data parallelism differs between training and inference."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.layout import Layout
from cluster.planner.placement.form import Form
from cluster.planner.placement.replicas import form_replicas, take
from cluster.planner.result import Candidate, ComparisonColumn, DecisionStep, RankMemory
from cluster.planner.search.context import Context
from cluster.planner.training.as_trained import format_note
from cluster.planner.training.describe import NAMES, describe_communication, describe_sharding, exchanged
from cluster.planner.training.search import chosen_step
from cluster.planner.training.step import Step, make_step
from cluster.units import format_gib


def decide_training(context: Context, best: Candidate | None) -> tuple[DecisionStep, ...]:
    """Return the questions that lead to the layout."""
    return tuple(_steps(context, best))


def _steps(context: Context, best: Candidate | None) -> Iterator[DecisionStep]:
    whole = _whole_copy(context)
    if whole is None:
        yield DecisionStep("Is there a usable GPU?", "NO", "the cluster has no usable GPU")
        return
    note = format_note(context)
    yield DecisionStep(
        "Does a full training copy fit on 1 GPU?",
        "YES" if whole.fits else "NO",
        (f"{note}; " if note else "") + _describe_sum(whole.memory),
    )
    step = chosen_step(context, best) if best is not None else None
    if best is not None and step is not None:
        yield DecisionStep("How is the training state sharded?", best.label, describe_sharding(step.sharding))
        yield DecisionStep("What do replicas exchange each step?", exchanged(step), best.why)


def _describe_sum(memory: RankMemory) -> str:
    parts = (
        ("parameters", memory.weights_bytes),
        ("gradients", memory.gradient_bytes),
        ("optimizer state", memory.optimizer_bytes),
        ("activations", memory.activation_bytes),
        ("other", memory.non_torch_bytes),
    )
    parts_text = " + ".join(f"{name} {format_gib(size)}" for name, size in parts)
    return f"{parts_text} = {format_gib(memory.total_bytes)}; {format_gib(memory.budget_bytes)} available"


def compare_training(context: Context, best: Candidate | None) -> tuple[ComparisonColumn, ...]:
    """Return data parallelism in training side by side with data parallelism in inference."""
    whole = _whole_copy(context)
    if whole is None:
        return ()
    layout = best.layout if best is not None else Form.plain(1, 1).layout(context.survey.num_usable_gpus)
    step = chosen_step(context, best) if best is not None else _everywhere(context)
    training = (
        ("Each GPU", _held(layout, step, whole) if best is not None else _needed(whole)),
        ("Data", "split across GPUs"),
        ("Communication", describe_communication(step or whole)),
        ("Purpose", "faster training"),
    )
    inference = (
        ("Each GPU", f"full model copy: {format_gib(context.model.weights_bytes)}, plus its KV cache"),
        ("Data", "requests routed to any GPU"),
        ("Communication", "NONE: replicas are independent, no gradient sync"),
        ("Purpose", "more throughput"),
    )
    return (
        ComparisonColumn("Training DP", layout, training),
        ComparisonColumn("Inference DP", layout, inference),
    )


def _needed(whole: Step) -> str:
    return (
        f"full model copy: {format_gib(whole.memory.weights_bytes)}; with gradients, optimizer state and "
        f"activations {format_gib(whole.memory.total_bytes)}"
    )


def _held(layout: Layout, step: Step | None, whole: Step) -> str:
    """Describe a GPU's memory under the recommendation, and under plain data parallelism."""
    if step is None or (step.sharding == "ddp" and layout.gpus_per_replica == 1):
        return _needed(whole)
    memory = step.memory
    degrees = [f"{name}={size}" for name, size in (("TP", layout.tp), ("PP", layout.pp)) if size > 1]
    named = [] if step.num_replicas == 1 else [NAMES[step.sharding]]
    return (
        f"{', '.join((*degrees, *named))}: parameters {format_gib(memory.weights_bytes)} + gradients "
        f"{format_gib(memory.gradient_bytes)} + optimizer state {format_gib(memory.optimizer_bytes)}; with "
        f"activations {format_gib(memory.total_bytes)}; plain DP needs {format_gib(whole.memory.total_bytes)}"
    )


def _whole_copy(context: Context) -> Step | None:
    """Return one copy on the GPU with the most free memory."""
    form = Form.plain(1, 1)
    sets = form_replicas(context.survey, form)
    if not sets:
        return None
    roomiest = max(sets, key=lambda replicas: min(replicas.frees))
    return make_step(context, form, [(roomiest, 1)], "ddp")


def _everywhere(context: Context) -> Step:
    """Return a copy on each of the requested number of GPUs, else on all."""
    form = Form.plain(1, 1)
    sets = form_replicas(context.survey, form)
    available = sum(replicas.count for replicas in sets)
    return make_step(context, form, take(sets, min(context.request.dp or available, available)), "ddp")

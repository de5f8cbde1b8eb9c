"""Training against inference: why data parallelism is not the same thing in both."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.result import Candidate, ComparisonColumn, DecisionStep
from cluster.planner.search.context import Context
from cluster.planner.search.form import Form
from cluster.planner.search.replicas import form_replicas
from cluster.planner.training.step import Step, make_step
from cluster.units import format_duration, format_gib


def decide_training(context: Context, best: Candidate | None) -> tuple[DecisionStep, ...]:
    """Return the questions that lead to the layout."""
    return tuple(_steps(context, best))


def _steps(context: Context, best: Candidate | None) -> Iterator[DecisionStep]:
    whole = _whole_copy(context)
    if whole is None:
        yield DecisionStep("Is there a GPU to plan on?", "NO", "the cluster has no GPU that can be used")
        return
    memory = whole.memory
    yield DecisionStep(
        "Does a full training copy fit on 1 GPU?",
        "YES" if whole.fits else "NO",
        f"parameters {format_gib(memory.weights_bytes)} + gradients {format_gib(memory.gradient_bytes)} + "
        f"optimizer state {format_gib(memory.optimizer_bytes)} + activations "
        f"{format_gib(memory.activation_bytes)} = {format_gib(memory.total_bytes)} of "
        f"{format_gib(memory.budget_bytes)}",
    )
    if best is not None:
        yield DecisionStep("How is the state divided?", best.label, best.notes[0] if best.notes else best.why)
        yield DecisionStep(
            "What is sent every step?", "gradients" if best.layout.dp > 1 else "nothing", best.why
        )


def compare_training(context: Context, best: Candidate | None) -> tuple[ComparisonColumn, ...]:
    """Return data parallelism in training beside data parallelism in inference."""
    step = _whole_copy(context)
    if step is None:
        return ()
    layout = best.layout if best is not None else Form.plain(1, 1).layout(context.survey.num_usable_gpus)
    weights = format_gib(step.memory.weights_bytes)
    training = (
        (
            "Each GPU",
            f"full model copy: {weights}, with gradients and optimizer state "
            f"{format_gib(step.memory.total_bytes)}",
        ),
        ("Data", "split across GPUs"),
        ("Communication", _gradients(step)),
        ("Purpose", "faster training"),
    )
    inference = (
        ("Each GPU", f"full model copy: {weights}, and its KV cache"),
        ("Data", "requests routed to any GPU"),
        ("Communication", "NONE: replicas are independent, no gradient sync"),
        ("Purpose", "more throughput"),
    )
    return (
        ComparisonColumn("Training DP", layout, training),
        ComparisonColumn("Inference DP", layout, inference),
    )


def _gradients(step: Step) -> str:
    if not step.gradient_bytes:
        return "all-reduce gradients (one GPU: none)"
    return (
        f"all-reduce {format_gib(step.gradient_bytes)} of gradients every step, "
        f"about {format_duration(step.gradient_time_s)}"
    )


def _whole_copy(context: Context) -> Step | None:
    form = Form.plain(1, 1)
    sets = form_replicas(context.survey, form)
    if not sets:
        return None
    roomiest = max(sets, key=lambda replicas: min(replicas.frees))
    return make_step(context, form, roomiest, sum(replicas.count for replicas in sets), "ddp")

"""The parts of a printed plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.cli.refusal_lines import refusal_lines, said_above
from cluster.cli.style import Style
from cluster.cli.table import table
from cluster.cli.wrap import wrap
from cluster.planner.reasons.describe import (
    describe_cluster,
    describe_columns,
    describe_duration,
    describe_placement,
    describe_rate,
    describe_traffic,
)
from cluster.planner.reasons.health import GpuStanding, count_standings, standings
from cluster.planner.result import Candidate, Plan
from cluster.units import count_of, format_bytes, format_count, format_gib, in_tenths

_LABEL_WIDTH = 10
_REFUSALS_SHOWN = 3
_UNSOUND = ("degraded", "unhealthy", "excluded")
_UNSOUND_SHOWN = 16


def heading(plan: Plan, style: Style, width: int) -> Iterator[str]:
    """The question: model, cluster, workload, engine."""
    mark = " SIMULATED" if plan.cluster.simulated else ""
    lines = (
        ("Model", _describe_model(plan)),
        ("Cluster", describe_cluster(plan.cluster) + mark),
        ("Workload", _describe_workload(plan)),
        *_engine(plan),
        *(("Note", note) for note in plan.model.notes),
    )
    for name, text in lines:
        first, *more = wrap(text, width - _LABEL_WIDTH)
        yield style.bold(f"{name:<{_LABEL_WIDTH}}") + first
        yield from (" " * _LABEL_WIDTH + line for line in more)


def _engine(plan: Plan) -> Iterator[tuple[str, str]]:
    # A trainer is not one of the engines; its plan holds for any of them.
    if plan.request.workload == "inference":
        yield "Engine", f"{plan.engine_name} {plan.engine_version}"


def _describe_model(plan: Plan) -> str:
    model = plan.model
    quantized = f", {model.quantization.method}" if model.quantization else ""
    active = f" ({format_count(model.active_parameters)} active)" if model.is_moe else ""
    return (
        f"{model.name}: {format_count(model.parameters)} parameters{active}, {model.dtype}{quantized}, "
        f"{format_gib(model.weights_bytes)} of weights, "
        f"{format_bytes(plan.kv_bytes_per_token)} of KV cache per token"
    )


def _describe_workload(plan: Plan) -> str:
    request = plan.request
    if request.workload == "training":
        return f"training: samples of {plan.lengths.input_tokens:,} tokens, mixed-precision Adam"
    load = f"{plan.lengths.input_tokens:,} tokens in, {plan.lengths.output_tokens:,} out"
    load += f", {request.concurrency:,} in flight" if request.concurrency else ""
    length = request.max_model_len or plan.model.max_position
    return f"{request.workload}: {load}, max-model-len {length:,}, ranked by {request.objective}"


def recommendation(plan: Plan, style: Style, width: int) -> Iterator[str]:
    """The answer and what it costs and gives."""
    best = plan.recommended
    if best is None:
        yield style.bold(style.bad("No layout fits."))
        for line in plan.advice:
            yield from wrap(f"  {line}", width, "    ")
        return
    yield style.bold(style.good(f"Recommended: {best.label}")) + f"  on {count_of(best.layout.gpus, 'GPU')}"
    yield from wrap(f"  {best.why}", width, "  ")
    for line in (*_memory_lines(best), *_speed_lines(plan, best)):
        yield from wrap(f"  {line}", width, "    ")
    for note in best.notes:
        yield from wrap(f"  note: {note}", width, "        ")


def _memory_lines(candidate: Candidate) -> Iterator[str]:
    memory = candidate.memory_per_gpu
    if memory is None:
        return
    parts = (
        ("weights", memory.weights_bytes),
        ("gradients", memory.gradient_bytes),
        ("optimizer state", memory.optimizer_bytes),
        ("KV cache", memory.kv_cache_bytes),
        ("activations", memory.activation_bytes),
        ("CUDA graphs", memory.cuda_graph_bytes),
        ("other", memory.non_torch_bytes),
    )
    shares = " + ".join(f"{name} {format_gib(size)}" for name, size in parts if size)
    yield f"memory per GPU: {shares} = {format_gib(memory.total_bytes)}"
    if candidate.kv_cache_tokens is not None and candidate.max_concurrency is not None:
        yield (
            f"KV cache per replica: {candidate.kv_cache_tokens:,} tokens, "
            f"{in_tenths(candidate.max_concurrency)} full-length requests"
        )


def _speed_lines(plan: Plan, candidate: Candidate) -> Iterator[str]:
    estimate = candidate.estimate
    if estimate is None:
        return
    alone = plan.request.objective == "latency" and plan.request.concurrency is None
    load = (
        "at full load" if alone else f"batch {estimate.batch:,} per replica, bound by {estimate.bottleneck}"
    )
    yield f"throughput: {describe_rate(estimate.throughput_tokens_per_s)}, {load}"
    yield (
        f"latency{' of one request alone' if alone else ''}: "
        f"first token {describe_duration(estimate.ttft_s)}, "
        f"then {describe_duration(estimate.tpot_s)} per token; {describe_traffic(candidate.layout, estimate)}"
    )


def decision(plan: Plan, style: Style, width: int) -> Iterator[str]:
    """The path through the decision tree."""
    if not plan.decision:
        return
    yield style.bold("Decision")
    for depth, step in enumerate(plan.decision):
        indent = "  " * (depth + 1)
        yield from wrap(f"{indent}{step.question} {style.bold(step.answer)}", width, indent + "  ")
        yield from (style.dim(line) for line in wrap(f"{indent}  {step.because}", width, indent + "  "))


def placement(plan: Plan, style: Style, width: int) -> Iterator[str]:
    """Which GPU is which replica, stage and rank."""
    if plan.recommended is None:
        return
    yield style.bold("Placement")
    for line in describe_placement(plan.recommended):
        yield from wrap(f"  {line}", width, "    ")
    columns = describe_columns(plan.model, plan.recommended.layout)
    if columns:
        yield from wrap(f"  {columns}", width, "    ")


def health(plan: Plan, style: Style, width: int) -> Iterator[str]:
    """The GPUs that are not healthy, why, and whether the layout uses them."""
    found = standings(plan)
    if not found:
        return
    counts = count_standings(plan)
    states = ", ".join(f"{counts[state]:,} {state}" for state in _UNSOUND if counts[state])
    yield style.bold("Health") + f"  {states} of {count_of(plan.cluster.num_gpus, 'GPU')}"
    # What is in use comes first, then what no plan may use.
    ordered = sorted(found, key=lambda one: (one.replica is None, one.standing == "degraded"))
    yield from _standing_lines(ordered[:_UNSOUND_SHOWN], style, width)
    if len(found) > _UNSOUND_SHOWN:
        yield style.dim(f"  and {len(found) - _UNSOUND_SHOWN:,} more (--json names all)")


def _standing_lines(shown: Sequence[GpuStanding], style: Style, width: int) -> Iterator[str]:
    names = [f"{one.node.name} GPU {one.gpu.index}" for one in shown]
    states = [f"{one.standing}, {one.use}" for one in shown]
    name_width, state_width = max(map(len, names)), max(map(len, states))
    for one, name, state in zip(shown, names, states, strict=True):
        mark = style.warn if one.standing == "degraded" else style.bad
        lead = f"  {name:<{name_width}}  {state:<{state_width}}  "
        indent = " " * len(lead)
        if len(lead) > width // 2:  # a long name leaves no room beside it
            yield mark(lead.rstrip())
            lead = indent = "    "
        first, *more = wrap(indent + "; ".join(one.reasons), width, indent)
        yield mark(lead) + first.lstrip()
        yield from more


def comparison(plan: Plan, style: Style, width: int) -> Iterator[str]:
    """DP, TP and TP x DP side by side."""
    if not plan.comparison:
        return
    yield style.bold("Side by side")
    names = [name for name, _ in plan.comparison[0].rows]
    header = ["", *(column.strategy for column in plan.comparison)]
    cells = [[name, *(dict(column.rows).get(name, "") for column in plan.comparison)] for name in names]
    yield from table(header, cells, style, width)


def alternatives(plan: Plan, style: Style, width: int) -> Iterator[str]:
    """The other candidates, each with why it was passed over."""
    others = [candidate for candidate in plan.candidates if candidate is not plan.recommended]
    shown = _to_show(others, plan.request.top - (plan.recommended is not None))
    if not shown:
        return
    yield style.bold("Alternatives" if plan.recommended else "Nearest layouts")
    label_width = max(len(candidate.label) for candidate in shown)
    fitting = [candidate for candidate in shown if candidate.feasible]
    refused = [candidate for candidate in shown if not candidate.feasible]
    reasons = [candidate.why for candidate in fitting] + refusal_lines(refused, said_above(plan))
    for candidate, reason in zip((*fitting, *refused), reasons, strict=True):
        mark = style.good("fits") if candidate.feasible else style.bad("no  ")
        lead = f"  {candidate.label:<{label_width}}  {mark}  "
        indent = " " * (label_width + 10)
        lines = list(wrap(indent + reason, width, indent))
        yield lead + lines[0].lstrip()
        yield from (style.dim(line) for line in lines[1:])
    if len(others) > len(shown):
        yield style.dim(f"  and {len(others) - len(shown):,} more (--top {len(plan.candidates)})")


def _to_show(others: list[Candidate], count: int) -> list[Candidate]:
    """Take the best that fit and, since refusals teach most, some places for the nearest that do not."""
    fitting = [candidate for candidate in others if candidate.feasible]
    refused = [candidate for candidate in others if not candidate.feasible]
    kept = min(len(refused), max(_REFUSALS_SHOWN, count - len(fitting)), count)
    return fitting[: count - kept] + refused[:kept]

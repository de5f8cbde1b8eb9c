"""Search over layouts for training: as many data-parallel replicas as there is room for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.planner.result import Candidate, Rejection
from cluster.planner.rules import layout_rejections
from cluster.planner.search.absent import absent_rejection
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import pipeline_degrees, tensor_degrees
from cluster.planner.search.form import Form
from cluster.planner.search.placement import LazyPlacement
from cluster.planner.search.refusals import nearest_refusals
from cluster.planner.search.replicas import ReplicaSet, form_replicas
from cluster.planner.search.run import Found
from cluster.planner.training.step import IN_WORDS, SHARDINGS, Step, make_step
from cluster.units import format_duration, format_gib

_ENOUGH_DEPTHS = 2


def search_training(context: Context) -> Found:
    """Return training layouts, those that divide least first: every further split is more to send."""
    candidates = list(_candidates(context))
    feasible = [candidate for candidate in candidates if candidate.feasible]
    feasible.sort(key=_order)
    refused = nearest_refusals([c for c in candidates if not c.feasible], feasible)
    return Found(tuple(feasible), tuple(refused), len(candidates))


def _order(candidate: Candidate) -> tuple[float, ...]:
    layout = candidate.layout
    # Idle GPUs cost more than any way of splitting; then fewer stages and smaller groups.
    return (-layout.gpus, layout.tp * layout.pp, layout.pp)


def _candidates(context: Context) -> Iterator[Candidate]:
    for tp in tensor_degrees(context.survey, context.request):
        fitting = 0
        for pp in pipeline_degrees(context.model, context.request, context.survey.num_usable_gpus // tp):
            candidate = _judge(context, Form.plain(tp, pp))
            yield candidate
            fitting += candidate.feasible
            rules = {rejection.rule for rejection in candidate.rejections}
            if fitting >= _ENOUGH_DEPTHS or rules - {"weights_do_not_fit"}:
                break


def _judge(context: Context, form: Form) -> Candidate:
    wanted = context.request.dp
    if form.pp > context.model.num_layers:
        return _refuse(form, wanted or 1, _too_few_layers(context, form))
    sets = form_replicas(context.survey, form)
    if not sets:
        return _refuse(form, wanted or 1, absent_rejection(context, form))
    spec = sets[0].slowest.spec
    against = layout_rejections(context.model, form.layout(), spec, context.engine, context.request)
    if against:
        return _refuse(form, wanted or 1, *against)
    available = sum(replicas.count for replicas in sets)
    if wanted is not None and wanted > available:
        message = f"DP={wanted} needs {wanted * form.gpus} GPUs; {available * form.gpus} are there"
        return _refuse(form, wanted, Rejection("not_enough_gpus", message))
    return _largest(context, form, sets, wanted)


def count_training(context: Context, form: Form, enough: int) -> int:
    """Return how many replicas of the form train on this cluster."""
    candidate = _judge(context.with_request(dp=None), form)
    return candidate.layout.num_replicas if candidate.feasible else 0


def _refuse(form: Form, replicas: int, *rejections: Rejection) -> Candidate:
    return Candidate(form.layout(replicas), False, rejections)


def _too_few_layers(context: Context, form: Form) -> Rejection:
    layers = context.model.num_layers
    return Rejection("too_few_layers", f"PP={form.pp} needs {form.pp} layers; there are {layers}")


def _largest(context: Context, form: Form, sets: list[ReplicaSet], wanted: int | None) -> Candidate:
    """Take as many replicas of one GPU type as fit, leaving out the GPUs with least free memory first."""
    refused: Candidate | None = None
    for kept in _shrinking(sets):
        count = wanted or sum(replicas.count for replicas in kept)
        if count > sum(replicas.count for replicas in kept):
            break
        steps = [make_step(context, form, kept[-1], count, sharding) for sharding in SHARDINGS]
        fitting = next((step for step in steps if step.fits), None)
        if fitting is not None:
            return _describe(context, form, kept, count, fitting)
        refused = refused or _too_large(_describe(context, form, kept, count, steps[-1]), steps)
    return refused or _refuse(form, wanted or 1, absent_rejection(context, form))


def _shrinking(sets: list[ReplicaSet]) -> Iterator[list[ReplicaSet]]:
    """Yield the sets of each GPU type, most free memory first, with fewer and fewer of them."""
    types = dict.fromkeys(replicas.slowest.spec.type for replicas in sets)
    groups = [
        sorted(
            (replicas for replicas in sets if replicas.slowest.spec.type == kind),
            key=lambda replicas: -min(replicas.frees),
        )
        for kind in types
    ]
    choices = [group[:size] for group in groups for size in range(len(group), 0, -1)]
    yield from sorted(choices, key=lambda kept: -sum(replicas.count for replicas in kept))


def _describe(context: Context, form: Form, sets: list[ReplicaSet], count: int, step: Step) -> Candidate:
    placed, left = [], count
    for replicas in sets:
        taken = min(left, replicas.count)
        placed.append((replicas, taken))
        left -= taken
    return Candidate(
        layout=form.layout(count),
        feasible=True,
        placement=LazyPlacement(context.cluster, form, [entry for entry in placed if entry[1]]),
        stages=step.stages,
        memory_per_gpu=step.memory,
        why=_why(step, count),
        notes=(IN_WORDS[step.sharding],),
    )


def _why(step: Step, count: int) -> str:
    if count == 1:
        return "one replica: no gradients to exchange"
    return (
        f"{format_gib(step.gradient_bytes)} of gradients all-reduced over {count} ranks every step, "
        f"about {format_duration(step.gradient_time_s)}; {IN_WORDS[step.sharding].split(':')[0]}"
    )


def _too_large(candidate: Candidate, steps: list[Step]) -> Candidate:
    step, whole = steps[-1], steps[0].memory
    message = (
        f"even with {IN_WORDS[step.sharding].split(':')[0]} a rank needs "
        f"{format_gib(step.memory.shortfall_bytes)} more than its {format_gib(step.memory.budget_bytes)}"
    )
    state = whole.weights_bytes + whole.gradient_bytes + whole.optimizer_bytes
    room = whole.budget_bytes - whole.activation_bytes - whole.non_torch_bytes
    ranks = -(-state // room) * candidate.layout.tp * candidate.layout.pp if room > 0 else 0
    fix = f"about {ranks:,} such GPUs in all" if ranks else "GPUs with more memory"
    rejection = Rejection("weights_do_not_fit", message, fix)
    return replace(candidate, feasible=False, rejections=(rejection,))

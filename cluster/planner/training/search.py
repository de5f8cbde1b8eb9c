"""Search over layouts for training: as many data-parallel replicas as fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cluster.planner.fixes.fix import Fix
from cluster.planner.placement.degraded import degraded_use
from cluster.planner.placement.form import Form
from cluster.planner.placement.ranks import LazyPlacement
from cluster.planner.placement.replicas import form_replicas
from cluster.planner.placement.span import span_of
from cluster.planner.result import Candidate, Rejection
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import pipeline_degrees, tensor_degrees
from cluster.planner.search.not_placeable import absent_rejection
from cluster.planner.search.oversized import beyond_the_gpus
from cluster.planner.search.refusals import nearest_refusals
from cluster.planner.search.run import SearchResult
from cluster.planner.training.as_trained import notes_for, shape_rejections
from cluster.planner.training.choice import Choice, choose
from cluster.planner.training.describe import NAMES, describe_exchange, describe_sharding
from cluster.planner.training.step import Step, least_replicas
from cluster.units import format_gib

_ENOUGH_DEPTHS = 2


def search_training(context: Context) -> SearchResult:
    """Return training layouts, the least split first: every further split adds communication."""
    candidates = list(_candidates(context))
    feasible = [candidate for candidate in candidates if candidate.feasible]
    feasible.sort(key=_order)
    refused = nearest_refusals([c for c in candidates if not c.feasible], feasible)
    return SearchResult(tuple(feasible), tuple(refused), len(candidates))


def _order(candidate: Candidate) -> tuple[float, ...]:
    layout = candidate.layout
    # Idle GPUs cost more than any way of splitting; then fewer stages and smaller groups.
    return (-layout.gpus, layout.tp * layout.pp, layout.pp)


def _candidates(context: Context) -> Iterator[Candidate]:
    beyond = beyond_the_gpus(context)
    if beyond is not None:
        yield beyond
        return
    for tp in tensor_degrees(context.survey, context.request):
        fitting = 0
        for pp in pipeline_degrees(context.model, context.request, context.survey.num_usable_gpus // tp):
            candidate = _judge(context, Form.plain(tp, pp))
            yield candidate
            fitting += candidate.feasible
            rules = {rejection.rule for rejection in candidate.rejections}
            if fitting >= _ENOUGH_DEPTHS or rules - {Rule.WEIGHTS_DO_NOT_FIT}:
                break


def _judge(context: Context, form: Form) -> Candidate:
    wanted = context.request.dp
    against = shape_rejections(context, form.layout())
    if against:
        return _refuse(form, wanted or 1, *against)
    sets = form_replicas(context.survey, form)
    if not sets:
        return _refuse(form, wanted or 1, absent_rejection(context, form))
    available = sum(replicas.count for replicas in sets)
    if wanted is not None and wanted > available:
        message = f"DP={wanted} needs {wanted * form.gpus} GPUs, {available * form.gpus} available"
        return _refuse(form, wanted, Rejection(Rule.NOT_ENOUGH_GPUS, message))
    choice = choose(context, form, sets)
    if choice is None:
        return _refuse(form, wanted or 1, absent_rejection(context, form))
    candidate = _describe(context, form, choice)
    return candidate if choice.step.fits else _too_large(context, form, candidate, choice)


def count_training(context: Context, form: Form, enough: int) -> int:
    """Return how many replicas of the form train on this cluster, whether or not they are `enough`.

    If a number is pinned, it is that number if those train, else the most below it that do: ZeRO shards
    the state over all replicas, so more of them may train where fewer do not.
    """
    wanted = context.request.dp
    held = _held(context, form)
    if held or wanted is None:
        return held
    most = _held(context.with_request(dp=None), form)
    return most if most < wanted else 0


def _held(context: Context, form: Form) -> int:
    """Return how many replicas train, without the reasons why others do not."""
    if shape_rejections(context, form.layout()):
        return 0
    sets = form_replicas(context.survey, form)
    wanted = context.request.dp
    if not sets or (wanted is not None and wanted > sum(replicas.count for replicas in sets)):
        return 0
    choice = choose(context, form, sets)
    return choice.step.num_replicas if choice is not None and choice.step.fits else 0


def chosen_step(context: Context, candidate: Candidate) -> Step | None:
    """Return the step behind a candidate of `search_training`."""
    choice = choose(context, candidate.form, form_replicas(context.survey, candidate.form))
    return None if choice is None else choice.step


def _refuse(form: Form, replicas: int, *rejections: Rejection) -> Candidate:
    return Candidate(form, form.layout(replicas), False, rejections)


def _describe(context: Context, form: Form, choice: Choice) -> Candidate:
    step = choice.step
    notes = (describe_sharding(step.sharding), *notes_for(context), *context.survey.notes)
    return Candidate(
        form=form,
        layout=form.layout(step.num_replicas),
        feasible=True,
        placement=LazyPlacement(context.cluster, form, choice.placed),
        span=span_of(form, choice.placed),
        degraded=degraded_use(context.cluster, choice.placed),
        stages=step.stages,
        memory_per_gpu=step.memory,
        why=describe_exchange(step),
        notes=notes,
    )


def _too_large(context: Context, form: Form, candidate: Candidate, choice: Choice) -> Candidate:
    memory = choice.step.memory
    even = f"even with {NAMES[choice.step.sharding]}, " if choice.step.num_replicas > 1 else ""
    message = (
        f"{even}each rank is {format_gib(memory.shortfall_bytes)} over its "
        f"{format_gib(memory.budget_bytes)} budget{_gpus_needed(context, form, choice)}"
    )
    rejection = Rejection(Rule.WEIGHTS_DO_NOT_FIT, message, _more_replicas(context, form))
    return replace(candidate, feasible=False, rejections=(rejection,))


def _gpus_needed(context: Context, form: Form, choice: Choice) -> str:
    """Return over how many GPUs the state must be sharded to fit; '' if the replicas are pinned."""
    if context.request.dp is not None:
        return ""
    least = least_replicas(context, form, choice.step.memory.budget_bytes)
    if least is None:
        return "; no number of these GPUs is enough"
    return f"; about {least * form.gpus:,} of these GPUs are needed"


def _more_replicas(context: Context, form: Form) -> tuple[Fix, ...]:
    """Return the larger number of replicas that fits if fewer were pinned: ZeRO shards the state over all."""
    wanted = context.request.dp
    most = 0 if wanted is None else _held(context.with_request(dp=None), form)
    return (Fix(layout=form.layout(most)),) if wanted is not None and most > wanted else ()

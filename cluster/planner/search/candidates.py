"""From a form to candidates: each form is tried on its GPUs, then gets as many replicas as help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cluster.planner.launch import Launch
from cluster.planner.placement.degraded import NONE_DEGRADED, degraded_use
from cluster.planner.placement.form import Form
from cluster.planner.placement.ranks import LazyPlacement
from cluster.planner.placement.replicas import take
from cluster.planner.placement.span import NOT_PLACED, span_of
from cluster.planner.result import Candidate, Rejection
from cluster.planner.rule import Rule
from cluster.planner.search.busy_memory import busy_rejections, partly_used_note
from cluster.planner.search.class_fits import ClassFit, fit_form, refused_anywhere
from cluster.planner.search.context import Context
from cluster.planner.search.not_placeable import absent_rejection
from cluster.planner.search.pins import over_joined_links, wanted_replicas
from cluster.planner.search.timing import Portion, estimate_together
from cluster.units import count_of

_LITTLE_LOST = 0.5
"""Of the rates, by which a replica on degraded GPUs still counts as useful."""
_ALMOST = 1 - 1e-6
"""What a degraded GPU counts as that has lost none of its rates."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A candidate, and what it was tried on."""

    candidate: Candidate
    context: Context
    """The context, with joined islands or nodes if a pinned group needs them."""
    nearest: ClassFit | None = None
    """For a candidate refused for lack of memory: the replicas closest to fitting."""

    def with_holders(self) -> Candidate:
        """Return the candidate with a rejection that names who uses the memory it lacks, if others do.

        This evaluates the replica about 15 more times.
        """
        candidate, nearest = self.candidate, self.nearest
        if nearest is None:
            return candidate
        found = busy_rejections(self.context, candidate.form, nearest.replicas, nearest.fit)
        return replace(candidate, rejections=found)


def build_candidates(context: Context, form: Form) -> list[Candidate]:
    """Return the form's candidates: one on all GPUs it fits, and one on each GPU type of a mixed cluster.

    A form that fits nowhere gives one refused candidate.
    """
    return [attempt.candidate for attempt in try_form(context, form)]


def try_form(context: Context, form: Form) -> list[Attempt]:
    """Return the form's candidates with what they were tried on.

    A pinned TP that exceeds every island or node is tried over joined ones.
    """
    found = _try_on_own_links(context, form)
    wide = None if any(one.candidate.feasible for one in found) else over_joined_links(context, form)
    if wide is None:
        return found
    joined = _try_on_own_links(wide, form)
    helps = any(one.candidate.feasible or one.candidate.memory_per_gpu for one in joined)
    return joined if helps else found


def _try_on_own_links(context: Context, form: Form) -> list[Attempt]:
    refused = refused_anywhere(context, form)
    fits = [] if refused else fit_form(context, form)
    if not fits:
        layout = form.layout(wanted_replicas(context, form, 1))
        candidate = Candidate(form, layout, False, refused or (absent_rejection(context, form),))
        return [Attempt(candidate, context)]
    fitting = [entry for entry in fits if entry.fit.feasible]
    if not fitting:
        return [_refused(context, form, max(fits, key=lambda entry: entry.nearness))]
    choices = list(_choices(context, form, fitting))
    blocked = [entry for entry in fits if entry.is_blocked]
    available = sum(entry.replicas.count for entry in fitting)
    if not blocked or wanted_replicas(context, form, available + 1) <= available:
        return [Attempt(choice, context) for choice in choices]
    nearest = max(blocked, key=lambda entry: entry.nearness)
    feasible = [Attempt(choice, context) for choice in choices if choice.feasible]
    return [*feasible, _if_freed(context, form, available + 1, nearest)]


def _if_freed(context: Context, form: Form, count: int, blocked: ClassFit) -> Attempt:
    """Return the layout with one more replica, refused for the memory that others use on its GPUs."""
    attempt = _refused(context, form, blocked)
    layout = form.layout(wanted_replicas(context, form, count))
    return replace(attempt, candidate=replace(attempt.candidate, layout=layout))


def _refused(context: Context, form: Form, nearest: ClassFit) -> Attempt:
    portion = Portion(nearest, wanted_replicas(context, form, 1))
    candidate = replace(
        _describe(context, form, [portion]), feasible=False, rejections=nearest.fit.rejections
    )
    return Attempt(candidate, context, nearest)


def _choices(context: Context, form: Form, fitting: Sequence[ClassFit]) -> Iterator[Candidate]:
    yield _sized(context, form, fitting)
    types = dict.fromkeys(entry.replicas.pools for entry in fitting)
    if len(types) > 1:
        for pools in types:
            yield _sized(context, form, [entry for entry in fitting if entry.replicas.pools == pools])
    yield from _without_degraded(context, form, fitting)


def _without_degraded(context: Context, form: Form, fitting: Sequence[ClassFit]) -> Iterator[Candidate]:
    """Yield the layout on sound GPUs alone, and on those that lost little: the others may not be worth it."""
    wanted = wanted_replicas(context, form, sum(entry.replicas.count for entry in fitting))
    for least_left in (_LITTLE_LOST, 1.0):
        kept = [entry for entry in fitting if _left(entry) >= least_left]
        count = sum(entry.replicas.count for entry in kept)
        # The best replicas are taken first, so only fewer of them make another layout.
        if 0 < count < wanted and wanted_replicas(context, form, count) <= count:
            yield _sized(context, form, kept)
            wanted = count


def _left(entry: ClassFit) -> float:
    """Return what health leaves of a replica's rates; less than 1 if any of its GPUs is degraded."""
    condition = entry.replicas.condition
    left = condition.left(entry.replicas.tightest.slowest.link)
    return min(left, _ALMOST) if condition.degraded else left


def _sized(context: Context, form: Form, fitting: Sequence[ClassFit]) -> Candidate:
    available = sum(entry.replicas.count for entry in fitting)
    wanted = wanted_replicas(context, form, available)
    portions = _take(fitting, min(wanted, available))
    candidate = _describe(context, form, portions)
    if wanted > available:
        return _too_many_replicas(candidate, wanted, available)
    return replace(candidate, estimate=estimate_together(portions, context.traffic))


def _take(fitting: Sequence[ClassFit], wanted: int) -> list[Portion]:
    """Take the fastest GPUs first, sound ones before others, then those with most free memory."""
    portions: list[Portion] = []
    for entry in sorted(fitting, key=_quality, reverse=True):
        count = min(wanted, entry.replicas.count)
        if count:
            portions.append(Portion(entry, count))
        wanted -= count
    return portions


def _quality(entry: ClassFit) -> tuple[float, ...]:
    tightest, condition = entry.replicas.tightest, entry.replicas.condition
    near = -tightest.num_machines
    rate = tightest.slowest.memory_bytes_per_s * condition.memory
    return (rate, near, _left(entry), min(entry.replicas.frees))


def _too_many_replicas(candidate: Candidate, wanted: int, available: int) -> Candidate:
    form = candidate.form
    layout = form.layout(wanted)
    message = (
        f"{layout.label} needs {count_of(wanted, 'replica')} of {count_of(form.gpus, 'GPU')}; "
        f"{available:,} fit"
    )
    refused = (Rejection(Rule.NOT_ENOUGH_GPUS, message),)
    return replace(
        candidate,
        layout=layout,
        feasible=False,
        rejections=refused,
        placement=(),
        span=NOT_PLACED,
        degraded=NONE_DEGRADED,
    )


def _describe(context: Context, form: Form, portions: Sequence[Portion]) -> Candidate:
    """Return the candidate of these replicas, placed; its time is not estimated yet."""
    fit = min((portion.fit for portion in portions), key=lambda fit: fit.spare_bytes)
    memory = fit.memory
    placed = [entry for portion in portions for entry in take(portion.replicas.sets, portion.count)]
    return Candidate(
        form=form,
        layout=form.layout(sum(portion.count for portion in portions)),
        feasible=True,
        placement=LazyPlacement(context.cluster, form, placed),
        span=span_of(form, placed),
        degraded=degraded_use(context.cluster, placed),
        stages=memory.replica.stages if memory else (),
        memory_per_gpu=fit.tightest,
        memory_by_stage=memory.ranks if memory else (),
        kv_cache_tokens=fit.kv_tokens * form.dp_inside if memory else None,
        max_concurrency=fit.max_concurrency * form.dp_inside if memory else None,
        launch=_launch_of(portions, memory.replica.launch) if memory else None,
        notes=tuple(dict.fromkeys(_notes(context, portions, fit.notes))),
    )


def _launch_of(portions: Sequence[Portion], of_tightest: Launch) -> Launch:
    """Return the tightest replica's launch, with a memory fraction at which all of them can start."""
    launches = [portion.fit.memory.replica.launch for portion in portions if portion.fit.memory]
    least = min(launch.gpu_memory_utilization for launch in launches)
    return of_tightest if least == of_tightest.gpu_memory_utilization else of_tightest.at_utilization(least)


def _notes(context: Context, portions: Sequence[Portion], of_tightest: Sequence[str]) -> Iterator[str]:
    for portion in portions:
        yield from partly_used_note(context, portion.replicas, portion.fit)
    yield from of_tightest
    if any(len({pool.spec.type for pool in portion.replicas.pools}) > 1 for portion in portions):
        yield "stages of one replica run on different GPU types: the slowest sets the pace"
    yield from context.survey.notes
    yield from context.notes

"""From a form to candidates: every form is judged on the GPUs it would get, then given as many as help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cluster.planner.placement.form import Form
from cluster.planner.placement.ranks import LazyPlacement
from cluster.planner.placement.replicas import take
from cluster.planner.result import Candidate, RankMemory, Rejection
from cluster.planner.rule import Rule
from cluster.planner.search.busy_memory import busy_rejections, partly_used_note
from cluster.planner.search.context import Context
from cluster.planner.search.judge import Judgement
from cluster.planner.search.judged import Judged, judge_form, refused_anywhere
from cluster.planner.search.not_placeable import absent_rejection
from cluster.planner.search.pins import over_joined_links, wanted_replicas
from cluster.planner.search.timing import Share, estimate_shares
from cluster.units import count_of


def build_candidates(context: Context, form: Form, name_holders: bool = True) -> list[Candidate]:
    """Return the form's candidates: one on all GPUs that can hold it, and one on each GPU type of a mix.

    A form that fits nowhere gives one refused candidate. With `name_holders` a refusal for lack of memory
    says whether others hold that memory, which takes several more judgements. A TP that the user asked for
    and that no island or node holds is judged over joined ones.
    """
    found = _build_on_own_links(context, form, name_holders)
    wide = None if any(one.feasible for one in found) else over_joined_links(context, form)
    if wide is None:
        return found
    judged = _build_on_own_links(wide, form, name_holders)
    return judged if any(one.feasible or one.memory_per_gpu for one in judged) else found


def _build_on_own_links(context: Context, form: Form, name_holders: bool) -> list[Candidate]:
    refused = refused_anywhere(context, form)
    if refused:
        return [Candidate(form.layout(wanted_replicas(context, form, 1)), False, refused)]
    judged = judge_form(context, form)
    if not judged:
        layout = form.layout(wanted_replicas(context, form, 1))
        return [Candidate(layout, False, (absent_rejection(context, form),))]
    fitting = [entry for entry in judged if entry.judgement.feasible]
    if not fitting:
        return [_refused(context, form, max(judged, key=lambda entry: entry.nearness), name_holders)]
    choices = list(_choices(context, form, fitting))
    blocked = [entry for entry in judged if entry.is_blocked]
    available = sum(entry.replicas.count for entry in fitting)
    if not blocked or wanted_replicas(context, form, available + 1) <= available:
        return choices
    if_freed = _if_freed(
        context, form, available + 1, max(blocked, key=lambda entry: entry.nearness), name_holders
    )
    return [choice for choice in choices if choice.feasible] + [if_freed]


def _if_freed(context: Context, form: Form, count: int, blocked: Judged, name_holders: bool) -> Candidate:
    """The layout with one replica more, refused for what others hold on the GPUs of that one."""
    candidate = _refused(context, form, blocked, name_holders)
    return replace(candidate, layout=form.layout(wanted_replicas(context, form, count)))


def _refused(context: Context, form: Form, nearest: Judged, name_holders: bool) -> Candidate:
    rejections = nearest.judgement.rejections
    if name_holders:
        rejections = busy_rejections(context, form, nearest.replicas, nearest.judgement)
    count = wanted_replicas(context, form, 1)
    candidate = _describe(context, form, [(nearest.replicas, nearest.judgement, count)], estimated=False)
    return replace(candidate, feasible=False, rejections=rejections)


def _choices(context: Context, form: Form, fitting: Sequence[Judged]) -> Iterator[Candidate]:
    yield _sized(context, form, fitting)
    types = dict.fromkeys(entry.replicas.pools for entry in fitting)
    if len(types) > 1:
        for pools in types:
            yield _sized(context, form, [entry for entry in fitting if entry.replicas.pools == pools])


def _sized(context: Context, form: Form, fitting: Sequence[Judged]) -> Candidate:
    available = sum(entry.replicas.count for entry in fitting)
    wanted = wanted_replicas(context, form, available)
    if wanted > available:
        return _too_many_replicas(context, form, fitting, wanted, available)
    return _describe(context, form, _take(fitting, wanted), estimated=True)


def _take(fitting: Sequence[Judged], wanted: int) -> list[Share]:
    """Take the fastest GPUs first, then those with most free memory."""
    shares: list[Share] = []
    for entry in sorted(fitting, key=_quality, reverse=True):
        count = min(wanted, entry.replicas.count)
        if count:
            shares.append((entry.replicas, entry.judgement, count))
        wanted -= count
    return shares


def _quality(entry: Judged) -> tuple[float, ...]:
    slowest = entry.replicas.tightest.slowest
    near = -entry.replicas.tightest.num_machines
    return (slowest.spec.memory_bandwidth_bytes_per_s, near, min(entry.replicas.frees))


def _too_many_replicas(
    context: Context, form: Form, fitting: Sequence[Judged], wanted: int, available: int
) -> Candidate:
    candidate = _describe(context, form, _take(fitting, available), estimated=True)
    layout = form.layout(wanted)
    rejection = Rejection(
        Rule.NOT_ENOUGH_GPUS,
        f"{layout.label} needs {count_of(wanted, 'replica')} of {count_of(form.gpus, 'GPU')}; "
        f"the GPUs here hold {available:,}",
    )
    return replace(
        candidate, layout=layout, feasible=False, rejections=(rejection,), estimate=None, placement=()
    )


def _describe(context: Context, form: Form, shares: Sequence[Share], estimated: bool) -> Candidate:
    tightest = min(shares, key=lambda share: _room(share[1]))
    judgement = tightest[1]
    placed = [entry for replicas, _, count in shares for entry in take(replicas.sets, count)]
    notes = tuple(note for replicas, held, _ in shares for note in partly_used_note(context, replicas, held))
    notes += judgement.notes
    return Candidate(
        layout=form.layout(sum(count for _, _, count in shares)),
        feasible=True,
        placement=LazyPlacement(context.cluster, form, placed),
        stages=judgement.stages,
        memory_per_gpu=judgement.tightest,
        memory_by_stage=judgement.memories,
        kv_cache_tokens=judgement.kv_tokens * form.dp_inside if judgement.memories else None,
        max_concurrency=judgement.max_concurrency * form.dp_inside if judgement.memories else None,
        estimate=estimate_shares(context, form, shares) if estimated else None,
        notes=tuple(dict.fromkeys(notes + _mixed_note(shares) + context.survey.notes + context.notes)),
    )


def _room(judgement: Judgement) -> int:
    memory: RankMemory | None = judgement.tightest
    return 0 if memory is None else memory.budget_bytes - memory.fixed_bytes


def _mixed_note(shares: Sequence[Share]) -> tuple[str, ...]:
    mixed = any(len({pool.spec.type for pool in replicas.pools}) > 1 for replicas, _, _ in shares)
    return ("stages of one replica run on different GPU types: the slowest sets the pace",) if mixed else ()

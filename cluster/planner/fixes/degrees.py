"""Other degrees of parallelism for a refused layout."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cluster.planner.fixes.case import Case
from cluster.planner.placement.form import Form
from cluster.planner.search.enumerate import expert_widths, pipeline_degrees, tensor_degrees
from cluster.units import count_of


def narrower(case: Case) -> Iterator[str]:
    """The widest smaller group that holds, and the stages that make up for it: 'TP=4', 'TP=4 x PP=2'."""
    form = case.form
    for tp in range(min(form.tp - 1, case.widest), 0, -1):
        depths = [form.pp]
        stages, rest = divmod(form.tp * form.pp, tp)
        if not rest and form.pp < stages <= case.context.model.num_layers:
            depths.append(stages)
        ways = [in_words(other) for pp in depths if case.holds(other := _like(form, tp, pp))]
        if ways:
            yield from ways
            return


def wider(case: Case) -> Iterator[str]:
    """The least TP, the least PP that hold; where neither does alone, the least GPUs with both."""
    form, context = case.form, case.context
    if form.dp_attention:
        yield from _wider_experts(case)
        return
    free = context.without_pins().request
    most = max(1, context.survey.num_usable_gpus // form.tp)
    tps = [tp for tp in tensor_degrees(context.survey, free) if form.tp < tp <= case.widest]
    pps = [pp for pp in pipeline_degrees(context.model, free, most) if pp > form.pp]
    ways = [
        other
        for others in ([_like(form, tp, form.pp) for tp in tps], [_like(form, form.tp, pp) for pp in pps])
        if (other := next(filter(case.holds, others), None))
    ]
    if not ways:
        both = sorted((_like(form, tp, pp) for tp in tps for pp in pps), key=lambda other: other.gpus)
        ways = list(islice(filter(case.holds, both), 1))
    yield from map(in_words, ways)


def _wider_experts(case: Case) -> Iterator[str]:
    survey, form = case.context.survey, case.form
    for width in expert_widths(case.context.model, survey, form.tp):
        chunk = min(width, survey.largest_domain)
        if width > form.width and case.holds(Form.shared_experts(form.tp, form.pp, width, chunk)):
            yield f"EP={width}"
            return


def whole_experts(case: Case) -> Iterator[str]:
    """Experts kept whole, divided over the ranks of the same group."""
    form, model = case.form, case.context.model
    whole = Form.plain(form.tp, form.pp, form.tp)
    if model.is_moe and form.ep == 1 and form.tp > 1 and case.holds(whole):
        yield f"expert parallelism ({in_words(whole)})"


def fewer_expert_ranks(case: Case) -> Iterator[str]:
    """The most expert ranks below this many, then none."""
    form = case.form
    for ep in range(min(form.ep - 1, form.tp, case.context.survey.num_usable_gpus), 0, -1):
        plain = Form.plain(form.tp, form.pp, ep)
        if (ep == 1 or form.tp % ep == 0) and case.holds(plain):
            yield f"EP={ep}" if ep > 1 else f"{in_words(plain)} without expert parallelism"
            return


def without_pipeline(case: Case) -> Iterator[str]:
    """One stage: on as many GPUs, or on those of one stage."""
    form = case.form
    for tp in dict.fromkeys((form.tp * form.pp, form.tp)):
        if form.pp > 1 and tp <= case.widest and case.holds(_like(form, tp, 1)):
            yield f"PP=1, TP={tp}"
            return


def fewer_stages(case: Case) -> Iterator[str]:
    """The deepest pipeline below this one that holds."""
    form = case.form
    most = min(form.pp - 1, case.context.model.num_layers, case.context.survey.num_usable_gpus // form.tp)
    for pp in range(most, 0, -1):
        if case.holds(_like(form, form.tp, pp)):
            yield in_words(_like(form, form.tp, pp)) if pp > 1 else f"PP=1, TP={form.tp}"
            return


def fewer_replicas(case: Case) -> Iterator[str]:
    """As many replicas as there is room for."""
    if case.form.gpus > case.context.survey.num_usable_gpus:
        return
    held = case.trials.replicas(case.context, case.form, case.replicas)
    if 0 < held < case.replicas:
        yield case.form.layout(held).label + (" (one replica)" if held == 1 else "")
        yield count_of((case.replicas - held) * case.form.gpus, "more GPU")


def in_words(form: Form) -> str:
    """Return degrees as a mend names them."""
    stages = f" x PP={form.pp}" if form.pp > 1 else ""
    experts = f", EP={form.ep}" if form.ep > 1 else ""
    return f"TP={form.tp}{stages}{experts}"


def _like(form: Form, tp: int, pp: int) -> Form:
    """The form at other degrees; experts that were divided whole over the group stay so."""
    return Form.plain(tp, pp, tp if form.ep == form.tp > 1 else 1)

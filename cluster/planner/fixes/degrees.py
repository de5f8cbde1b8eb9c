"""Other degrees of parallelism for a refused layout. Every function yields fixes that work."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.trial import LayoutTrial
from cluster.planner.placement.form import Form
from cluster.planner.search.enumerate import expert_widths, pipeline_degrees, tensor_degrees


def narrower(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the widest smaller TP that works, at the same PP and with more stages to make up for it."""
    form = trial.form
    for tp in range(min(form.tp - 1, trial.widest), 0, -1):
        depths = [form.pp]
        stages, rest = divmod(form.tp * form.pp, tp)
        if not rest and form.pp < stages <= trial.context.model.num_layers:
            depths.append(stages)
        found = [fix for pp in depths if (fix := trial.attempt_form(_like(form, tp, pp)))]
        if found:
            yield from found
            return


def wider(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the next larger TP and the next larger PP that work; if neither does, the smallest mix."""
    form, context = trial.form, trial.context
    if form.dp_attention:
        yield from _wider_experts(trial)
        return
    free = context.without_pins().request
    most = max(1, context.survey.num_usable_gpus // form.tp)
    tps = [tp for tp in tensor_degrees(context.survey, free) if form.tp < tp <= trial.widest]
    pps = [pp for pp in pipeline_degrees(context.model, free, most) if pp > form.pp]
    one_axis = ([_like(form, tp, form.pp) for tp in tps], [_like(form, form.tp, pp) for pp in pps])
    found = [fix for forms in one_axis for fix in islice(_holding(trial, forms), 1)]
    if not found:
        both = sorted((_like(form, tp, pp) for tp in tps for pp in pps), key=lambda other: other.gpus)
        found = list(islice(_holding(trial, both), 1))
    yield from found


def _holding(trial: LayoutTrial, forms: list[Form]) -> Iterator[Fix]:
    return filter(None, map(trial.attempt_form, forms))


def _wider_experts(trial: LayoutTrial) -> Iterator[Fix]:
    survey, form = trial.context.survey, trial.form
    wide = [
        Form.shared_experts(form.tp, form.pp, width, min(width, survey.largest_domain))
        for width in expert_widths(trial.context.model, survey, form.tp)
        if width > form.width
    ]
    yield from islice(_holding(trial, wide), 1)


def whole_experts(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the same degrees with whole experts spread over the ranks of the group."""
    form = trial.form
    if trial.context.model.is_moe and form.ep == 1 and form.tp > 1:
        yield from _holding(trial, [Form.plain(form.tp, form.pp, form.tp)])


def fewer_expert_ranks(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the largest smaller EP that works, EP=1 included."""
    form = trial.form
    most = min(form.ep - 1, form.tp, trial.context.survey.num_usable_gpus)
    fewer = [Form.plain(form.tp, form.pp, ep) for ep in range(most, 0, -1) if ep == 1 or form.tp % ep == 0]
    yield from islice(_holding(trial, fewer), 1)


def without_pipeline(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield a single stage: on the same number of GPUs, or on one stage's."""
    form = trial.form
    widths = dict.fromkeys((form.tp * form.pp, form.tp)) if form.pp > 1 else ()
    flat = [_like(form, tp, 1) for tp in widths if tp <= trial.widest]
    yield from islice(_holding(trial, flat), 1)


def fewer_stages(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the deepest shallower pipeline that works."""
    form, context = trial.form, trial.context
    most = min(form.pp - 1, context.model.num_layers, context.survey.num_usable_gpus // form.tp)
    shallower = [_like(form, form.tp, pp) for pp in range(most, 0, -1)]
    yield from islice(_holding(trial, shallower), 1)


def fewer_replicas(trial: LayoutTrial) -> Iterator[Fix]:
    """Yield the largest number of replicas that fits."""
    if trial.form.gpus > trial.context.survey.num_usable_gpus:
        return
    held = trial.held_replicas()
    if 0 < held < trial.replicas:
        yield Fix(layout=trial.form.layout(held))


def _like(form: Form, tp: int, pp: int) -> Form:
    """Return the form at other degrees; expert parallelism over the group is kept."""
    return Form.plain(tp, pp, tp if form.ep == form.tp > 1 else 1)

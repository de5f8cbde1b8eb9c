"""What the user asked for, held against what there is: replicas, and groups wider than links carry."""

from __future__ import annotations

from dataclasses import replace

from cluster.planner.placement.form import Form
from cluster.planner.placement.joined import join_islands
from cluster.planner.search.class_fits import fit_roomiest_first, refused_anywhere
from cluster.planner.search.context import Context


def wanted_replicas(context: Context, form: Form, available: int) -> int:
    """Replicas to run: as many as were asked for, else all there are, but no more than requests."""
    request = context.request
    if request.dp is not None:
        return max(1, request.dp // form.dp_inside)
    return available if request.concurrency is None else min(available, request.concurrency)


def over_joined_links(context: Context, form: Form) -> Context | None:
    """The same question with islands or nodes joined; None where nobody asked for it or it helps nothing."""
    if context.request.tp != form.tp or form.tp == 1:
        return None
    survey = join_islands(context.survey, form, wanted_replicas(context, form, 1))
    return None if survey is context.survey else replace(context, survey=survey)


def count_fitting(context: Context, form: Form, enough: int) -> int:
    """Return how many replicas of the form the cluster holds, without estimates or reasons.

    Counting ends at `enough`, which saves work on a cluster whose GPUs differ widely in free memory.
    """
    held = _count_on_own_links(context, form, enough)
    wide = None if held >= wanted_replicas(context, form, 1) else over_joined_links(context, form)
    return held if wide is None else max(held, _count_on_own_links(wide, form, enough))


def _count_on_own_links(context: Context, form: Form, enough: int) -> int:
    if refused_anywhere(context, form):
        return 0
    count = 0
    for entry in fit_roomiest_first(context, form):
        count += entry.replicas.count if entry.fit.feasible else 0
        if count >= enough:
            break
    return count

"""What the user pinned against what the cluster has: replicas, and groups wider than an island or node."""

from __future__ import annotations

from dataclasses import replace

from cluster.planner.placement.form import Form
from cluster.planner.placement.joined import join_islands
from cluster.planner.search.class_fits import fit_roomiest_first, refused_anywhere
from cluster.planner.search.context import Context


def wanted_replicas(context: Context, form: Form, available: int) -> int:
    """Return the replicas to run: the pinned number, else all that fit, but no more than requests."""
    request = context.request
    if request.dp is not None:
        return max(1, request.dp // form.dp_inside)
    return available if request.concurrency is None else min(available, request.concurrency)


def over_joined_links(context: Context, form: Form) -> Context | None:
    """Return the context with islands or nodes joined; None if the TP is not pinned or that does not help."""
    if context.request.tp != form.tp or form.tp == 1:
        return None
    survey = join_islands(context.survey, form, wanted_replicas(context, form, 1))
    return None if survey is context.survey else replace(context, survey=survey)


def count_fitting(context: Context, form: Form, enough: int) -> int:
    """Return how many replicas of the form fit the cluster, without estimates or reasons.

    Counting stops at `enough`, which saves work on clusters whose GPUs differ widely in free memory.
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

"""Pinned degrees that need more GPUs than the cluster has: refused before the search."""

from __future__ import annotations

from cluster.planner.layout import Layout
from cluster.planner.result import Candidate, Rejection
from cluster.planner.rule import Rule
from cluster.planner.search.context import Context
from cluster.planner.search.enumerate import form_of
from cluster.units import count_of


def beyond_the_gpus(context: Context) -> Candidate | None:
    """Return the refused layout if one replica alone needs more GPUs than the cluster has; else None.

    Too many replicas are left to the search, which counts how many do fit.
    """
    request, have = context.request, context.cluster.num_gpus
    tp, pp, ep = request.tp or 1, request.pp or 1, request.ep or 1
    ranks = request.decode_context_parallel
    need = max(tp, ep, ranks) * pp
    if need <= max(1, have):
        return None
    form = form_of(Layout(tp, pp, 1, ep, dp_attention=ep > tp), context.survey)
    layout = form.layout()
    asked = f"--decode-context-parallel-size {ranks}" if ranks > max(tp, ep) else layout.label
    message = f"{asked} needs {count_of(need, 'GPU')}, {have:,} available"
    return Candidate(form, layout, False, (Rejection(Rule.NOT_ENOUGH_GPUS, message),))

"""Apply fixes to what was planned, and plan again."""

from __future__ import annotations

from dataclasses import replace

from cluster.planner.fixes.apply import cluster_after, model_after
from cluster.planner.fixes.fix import Fix
from cluster.planner.layout import Layout
from cluster.planner.plan import plan
from cluster.planner.request import PlanRequest
from cluster.planner.result import Plan


def pinned(request: PlanRequest, layout: Layout) -> PlanRequest:
    """The request for exactly these degrees; replicas stay free where they were."""
    ep = layout.ep if layout.ep > 1 else None
    dp = request.dp and layout.dp
    return replace(request, tp=layout.tp, pp=layout.pp, ep=ep, dp=dp)


def follow(answer: Plan, refused: Layout | None, fix: Fix) -> Plan:
    """Plan again with a fix, of one refused layout or (None) of the plan."""
    request = answer.request
    if fix.layout is None and refused is not None:
        request = pinned(request, refused)
    cluster = cluster_after(answer.cluster, fix.hardware)
    return plan(cluster, model_after(answer.model, fix), fix.asked(request))


def holds(answer: Plan, layout: Layout) -> bool:
    """True where a layout with these degrees fits, with as many replicas at least."""
    return any(
        one.feasible
        and (one.layout.tp, one.layout.pp, one.layout.dp_attention)
        == (layout.tp, layout.pp, layout.dp_attention)
        and one.layout.num_replicas >= layout.num_replicas
        for one in answer.candidates
    )


def assert_fixes_hold(answer: Plan) -> int:
    """Follow every fix of every refusal, and of the plan; return how many were followed."""
    tried: set[tuple[Layout | None, Fix]] = {(None, fix) for fix in answer.fixes}
    for refused in answer.candidates:
        for rejection in refused.rejections:
            assert rejection.message and rejection.fix
            tried |= {(refused.layout, fix) for fix in rejection.fixes}
    for layout, fix in tried:
        wanted = fix.layout or layout
        assert wanted is not None and holds(follow(answer, layout, fix), wanted), (layout, fix)
    return len(tried)


def fixes_by_label(answer: Plan) -> dict[str, tuple[Fix, ...]]:
    """The fixes of each refused layout's first rejection."""
    return {one.label: one.rejections[0].fixes for one in answer.candidates if one.rejections}


def weights_of(fixes: tuple[Fix, ...]) -> list[str]:
    """The formats of weights that these fixes name."""
    return [fix.weights.variant.name for fix in fixes if fix.weights is not None]

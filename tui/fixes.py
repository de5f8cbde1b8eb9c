"""Which fixes of a layout the screen can apply, and where the layout is in the plan made with one. Pure."""

from __future__ import annotations

from cluster.planner.fixes.fix import Fix
from cluster.planner.layout import Layout
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Plan


def applicable_fixes(candidate: Candidate, request: PlanRequest) -> tuple[Fix, ...]:
    """Return the fixes of a rejected layout that only change the request, each once."""
    fixes = dict.fromkeys(fix for rejection in candidate.rejections for fix in rejection.fixes)
    return tuple(fix for fix in fixes if fix.is_request and fix.asked(request) != request)


def fixed_candidate(plan: Plan, layout: Layout) -> Candidate | None:
    """Return the feasible candidate that divides the model like `layout`, with as many replicas if it can."""
    alike = [one for one in plan.candidates if one.feasible and _division(one.layout) == _division(layout)]
    return next((one for one in alike if one.layout == layout), next(iter(alike), None))


def _division(layout: Layout) -> tuple[int, int, int, bool]:
    return layout.tp, layout.pp, layout.ep, layout.dp_attention

"""Refused layouts as text: why each does not run, and each fix once, with all layouts that it helps."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cluster.planner.fixes.fix import Fix
from cluster.planner.fixes.text import describe_fix
from cluster.planner.reasons.explain import describe_refusal
from cluster.planner.result import Candidate, Plan
from cluster.units import count_of

_LABELS_NAMED = 4


def refusal_lines(refused: Sequence[Candidate], said: Collection[Fix]) -> list[str]:
    """Return a line for each refused layout; `said` are fixes that were printed before."""
    printed, lines = set(said), []
    for candidate in refused:
        fixes = [fix for fix in _fixes(candidate) if fix not in printed]
        printed.update(fixes)
        described = ", or ".join(
            f"{describe_fix(fix)}{_also_helps(fix, candidate, refused)}" for fix in fixes
        )
        lines.append(describe_refusal(candidate) + (f"; fix: {described}" if described else ""))
    return lines


def said_above(plan: Plan) -> tuple[Fix, ...]:
    """Return the fixes that a printed plan has named by then: its own, or the recommendation."""
    best = plan.recommended
    return plan.fixes if best is None else (Fix(layout=best.layout),)


def _fixes(candidate: Candidate) -> tuple[Fix, ...]:
    return candidate.rejections[0].fixes if candidate.rejections else ()


def _also_helps(fix: Fix, first: Candidate, refused: Sequence[Candidate]) -> str:
    others = [one.label for one in refused if one is not first and fix in _fixes(one)]
    if not others:
        return ""
    rest = len(others) - _LABELS_NAMED
    more = f" and {count_of(rest, 'more layout')}" if rest > 0 else ""
    return f" (also fixes {'; '.join(others[:_LABELS_NAMED])}{more})"

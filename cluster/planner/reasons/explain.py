"""Why the first candidate is recommended and why each other one is not, in one sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from cluster.catalog.engine_profile import EngineProfile
from cluster.planner.reasons.describe import made_of
from cluster.planner.reasons.notes import with_notes
from cluster.planner.reasons.versus_best import compared, latency, limits, reasons_against
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate
from cluster.planner.search.ranking import (
    SAME,
    Convention,
    SmallestSpan,
    benefit,
    broken_conventions,
    keeps_limits,
    smallest_span,
)
from cluster.units import count_of


def with_reasons(
    feasible: Sequence[Candidate], request: PlanRequest, engine: EngineProfile
) -> tuple[Candidate, ...]:
    """Return the candidates with their `why`; the first is the recommended one."""
    if not feasible:
        return ()
    needed = smallest_span(feasible)
    best, *others = (with_notes(candidate, request, engine) for candidate in feasible)
    lead = replace(best, why=_why_best(best, _next(others, request), request, needed))
    return (lead, *(replace(other, why=_why_not(other, best, request, needed)) for other in others))


def with_refusal_reasons(refused: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return refused candidates with their first rejection and its fixes as `why`."""
    return tuple(replace(candidate, why=_why_refused(candidate)) for candidate in refused)


def describe_refusal(candidate: Candidate) -> str:
    """Return why a layout is refused: its first rejection, and how many more there are."""
    if not candidate.rejections:
        return "does not fit"
    others = len(candidate.rejections) - 1
    more = f" (and {count_of(others, 'more reason')})" if others else ""
    return f"{candidate.rejections[0].message}{more}"


def _why_refused(candidate: Candidate) -> str:
    fix = f"; fix: {candidate.rejections[0].fix}" if candidate.rejections else ""
    return f"{describe_refusal(candidate)}{fix}"


def _why_best(
    best: Candidate, following: Candidate | None, request: PlanRequest, needed: SmallestSpan
) -> str:
    what = _what(best)
    if not keeps_limits(best, request):
        return f"{what}; no layout meets the limits, this one comes closest ({latency(best)})"
    if following is None:
        limits = " within the limits" if request.ttft_s or request.tpot_s else ""
        return (
            f"{what}; the only layout that fits{' with the pinned degrees' if request.pins else ''}{limits}"
        )
    gain = benefit(best, request) / max(benefit(following, request), 1e-12) - 1
    if gain > SAME:
        return f"{what}; {_gain(gain, request)} than the next best ({following.label})"
    if _is_passed_over(following, best, request):
        return f"{what}; {_kept_conventions(following, best, request, needed)}"
    on_sound = following.degraded.num_gpus and not best.degraded.num_gpus
    better = "uses no degraded GPU" if on_sound else "simpler to run"
    return f"{what}; about as fast as {following.label}, and {better}"


def _what(best: Candidate) -> str:
    layout = best.layout
    if layout.gpus == 1:
        return "one copy on one GPU, no communication"
    if layout.gpus_per_replica == 1:
        return f"{layout.num_replicas} independent copies, no communication between GPUs"
    count, size = layout.num_replicas, layout.gpus_per_replica
    what = f"{count} replicas of {size} GPUs each" if count > 1 else f"one replica on {size} GPUs"
    return what + (f" ({made_of(layout)})" if layout.dp_attention else "")


def _next(others: Sequence[Candidate], request: PlanRequest) -> Candidate | None:
    """Return the one with the highest estimate among those that meet the limits."""
    within = [other for other in others if keeps_limits(other, request)]
    return max(within, key=lambda other: benefit(other, request), default=None)


def _is_passed_over(other: Candidate, best: Candidate, request: PlanRequest) -> bool:
    """True if the estimate is clearly higher than the best one's: it lost for breaking a convention."""
    return benefit(best, request) < benefit(other, request) * (1 - SAME)


def _kept_conventions(higher: Candidate, best: Candidate, request: PlanRequest, needed: SmallestSpan) -> str:
    more = benefit(higher, request) / max(benefit(best, request), 1e-12) - 1
    conventions = _conventions_between(higher, best, needed)
    kept = " and ".join(one.kept for one in conventions) or "the simpler layout"
    return f"chosen for {kept}, although {higher.label} is estimated at {_gain(more, request)}"


def _conventions_between(higher: Candidate, best: Candidate, needed: SmallestSpan) -> list[Convention]:
    kept = broken_conventions(best, needed)
    return [one for one in broken_conventions(higher, needed) if one not in kept]


def _gain(gain: float, request: PlanRequest) -> str:
    if request.objective == "latency":
        return f"{gain:.0%} lower latency"
    return f"{gain:.0%} more tokens/s"


def _why_not(other: Candidate, best: Candidate, request: PlanRequest, needed: SmallestSpan) -> str:
    if keeps_limits(best, request) and not keeps_limits(other, request):
        return f"misses the limits: {latency(other)}{limits(request)}"
    figures = compared(other, best, request)
    conventions = _conventions_between(other, best, needed) if _is_passed_over(other, best, request) else []
    reason = (
        _convention_reason(conventions, request) if conventions else reasons_against(other, best, request)
    )
    return f"{figures}{f': {reason}' if reason else ''}"


def _convention_reason(conventions: Sequence[Convention], request: PlanRequest) -> str:
    broken = " and ".join(one.broken for one in conventions)
    least = prod(one.must_win for one in conventions) - 1
    return f"{broken}; preferred only with over {_gain(least, request)}"

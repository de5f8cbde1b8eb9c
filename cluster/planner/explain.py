"""Why the first candidate leads and why each other one was passed over, in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from cluster.planner.candidate_notes import with_notes
from cluster.planner.describe import duration_in_words, made_of, rate_in_words
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Estimate
from cluster.planner.search.placement import LazyPlacement
from cluster.planner.search.rank import (
    SAME,
    Narrowest,
    Rule,
    benefit,
    broken_rules,
    keeps_limits,
    narrowest,
    request_latency_s,
)
from cluster.units import count_of, format_duration

_AT_THE_LIMIT = 0.97
"""A figure this near to its limit was brought there by a smaller batch."""


def explained(feasible: Sequence[Candidate], request: PlanRequest) -> tuple[Candidate, ...]:
    """Return the candidates with their `why`; the first is the one that leads."""
    if not feasible:
        return ()
    needed = narrowest(feasible)
    best, *others = (with_notes(candidate, request) for candidate in feasible)
    lead = replace(best, why=_why_best(best, _next(others, request), request, needed))
    return (lead, *(replace(other, why=_why_not(other, best, request, needed)) for other in others))


def explained_refusals(refused: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return refused candidates with their first rejection and its mend as `why`."""
    return tuple(replace(candidate, why=_why_refused(candidate)) for candidate in refused)


def _why_refused(candidate: Candidate) -> str:
    if not candidate.rejections:
        return "does not hold"
    first = candidate.rejections[0]
    others = len(candidate.rejections) - 1
    more = f" (and {others} more reason{'s' if others > 1 else ''})" if others else ""
    return f"{first.message}{more}" + (f": {first.fix}" if first.fix else "")


def _why_best(best: Candidate, following: Candidate | None, request: PlanRequest, needed: Narrowest) -> str:
    what = _what(best)
    if not keeps_limits(best, request):
        return f"{what}; no layout keeps the limits, this one comes nearest ({_latency(best)})"
    if following is None:
        pinned = any((request.tp, request.pp, request.dp, request.ep))
        limits = " within the limits" if request.ttft_s or request.tpot_s else ""
        return f"{what}; the only layout that fits{' with these degrees' if pinned else ''}{limits}"
    gain = benefit(best, request) / max(benefit(following, request), 1e-12) - 1
    if gain > SAME:
        return f"{what}; {_gain(gain, request)} than the next ({following.label})"
    if _is_passed_over(following, best, request):
        return f"{what}; {_kept_rules(following, best, request, needed)}"
    return f"{what}; the simplest to run of those that are about equally good (next: {following.label})"


def _what(best: Candidate) -> str:
    layout = best.layout
    if layout.gpus == 1:
        return "one copy on one GPU, no communication"
    if layout.gpus_per_replica == 1:
        return f"{layout.num_replicas} independent copies, no communication between GPUs"
    what = f"each replica split over {layout.gpus_per_replica} GPUs"
    what += f" ({made_of(layout)})" if layout.dp_attention else ""
    return what + (f", {layout.num_replicas} replicas side by side" if layout.num_replicas > 1 else "")


def _next(others: Sequence[Candidate], request: PlanRequest) -> Candidate | None:
    """Return the one of the highest estimate among those that keep the limits."""
    within = [other for other in others if keeps_limits(other, request)]
    return max(within, key=lambda other: benefit(other, request), default=None)


def _is_passed_over(other: Candidate, best: Candidate, request: PlanRequest) -> bool:
    """True for what is estimated clearly higher than the best and breaks a rule that the best keeps."""
    return benefit(best, request) < benefit(other, request) * (1 - SAME)


def _kept_rules(higher: Candidate, best: Candidate, request: PlanRequest, needed: Narrowest) -> str:
    more = benefit(higher, request) / max(benefit(best, request), 1e-12) - 1
    rules = _rules_between(higher, best, needed)
    kept = " and ".join(rule.kept for rule in rules) or "the simpler layout"
    return f"chosen for {kept}, in spite of {_gain(more, request)} expected of {higher.label}"


def _rules_between(higher: Candidate, best: Candidate, needed: Narrowest) -> list[Rule]:
    kept = broken_rules(best, needed)
    return [rule for rule in broken_rules(higher, needed) if rule not in kept]


def _gain(gain: float, request: PlanRequest) -> str:
    if request.objective == "latency":
        return f"answers {gain:.0%} sooner"
    return f"{gain:.0%} more tokens a second"


def _why_not(other: Candidate, best: Candidate, request: PlanRequest, needed: Narrowest) -> str:
    if keeps_limits(best, request) and not keeps_limits(other, request):
        return f"misses the limits: {_latency(other)}{_limits(request)}"
    told = _compared(other, best, request)
    rules = _rules_between(other, best, needed) if _is_passed_over(other, best, request) else []
    reason = _rule_reason(rules, request) if rules else _reason(other, best, request)
    return f"{told}{f': {reason}' if reason else ''}"


def _rule_reason(rules: Sequence[Rule], request: PlanRequest) -> str:
    broken = " and ".join(rule.broken for rule in rules)
    least = prod(rule.must_win for rule in rules) - 1
    return f"{broken}, so it leads only where it {_wins(least, request)}"


def _wins(gain: float, request: PlanRequest) -> str:
    verb = "answers" if request.objective == "latency" else "is estimated"
    return f"{verb} more than {gain:.0%} {'sooner' if request.objective == 'latency' else 'higher'}"


def _compared(other: Candidate, best: Candidate, request: PlanRequest) -> str:
    ratio = benefit(other, request) / max(benefit(best, request), 1e-12)
    if request.objective == "latency":
        ours, theirs = request_latency_s(other, request), request_latency_s(best, request)
        told = f"{format_duration(ours)} a request against {format_duration(theirs)}"
    else:
        told = f"{_rate(other)}, {abs(1 - ratio):.0%} {'less' if ratio < 1 else 'more'}"
    return f"{told} (within the estimate's error)" if 1 - SAME <= ratio <= 1 / (1 - SAME) else told


def _reason(other: Candidate, best: Candidate, request: PlanRequest) -> str:
    reasons = [*_costs(other, best), *_structure(other, best)]
    if request.objective == "throughput":
        reasons += _sizes(other, best, request)
    elif other.layout.tp < best.layout.tp:
        few, many = count_of(other.layout.tp, "GPU"), f"instead of {best.layout.tp}"
        verb = "does" if other.layout.tp == 1 else "share"
        reasons.append(f"{few} {verb} the work of a token {many}")
    return ", ".join(reasons)


def _costs(other: Candidate, best: Candidate) -> Iterator[str]:
    ours, theirs, estimate = other.layout, best.layout, other.estimate
    if ours.gpus < theirs.gpus:
        yield f"uses {ours.gpus} of the {theirs.gpus} GPUs"
    if ours.pp > theirs.pp:
        yield f"{ours.pp} stages to keep filled"
    if estimate and ours.tp > theirs.tp:
        with_experts = " and the all-to-all" if ours.dp_attention else ""
        share = f"{estimate.all_reduce_share:.0%} of a step"
        yield f"{estimate.all_reduces_per_token} all-reduces a token{with_experts} take {share}"


def _structure(other: Candidate, best: Candidate) -> Iterator[str]:
    ours, theirs, placement = other.layout, best.layout, other.placement
    if ours.dp_attention and not theirs.dp_attention:
        across = isinstance(placement, LazyPlacement) and placement.crosses_network
        where = "and every token crosses the network at every layer" if across else ""
        yield f"attention ranks run in lockstep {where}".rstrip()
    elif ours.ep > theirs.ep:
        yield "the busiest expert rank sets the pace"
    if isinstance(placement, LazyPlacement) and placement.shares_nodes:
        yield "replicas share nodes, so one lost node ends two"


def _sizes(other: Candidate, best: Candidate, request: PlanRequest) -> Iterator[str]:
    ours, theirs = other.layout, best.layout
    if ours.gpus_per_replica > theirs.gpus_per_replica and ours.num_replicas < theirs.num_replicas:
        yield f"{ours.num_replicas} larger replica{'s' if ours.num_replicas > 1 else ''}"
    held = _limit_at_work(other.estimate, request)
    if held:
        yield held
    elif ours.gpus_per_replica < theirs.gpus_per_replica and _kv(other) < _kv(best):
        yield f"only {_kv(other):,} tokens of KV room a replica"


def _limit_at_work(estimate: Estimate | None, request: PlanRequest) -> str:
    """Say which limit holds the batch down: the estimate was taken at the largest batch that keeps it."""
    if estimate is None or request.concurrency is not None or request.objective == "latency":
        return ""
    for name, band, limit in (
        ("TPOT", estimate.tpot_s, request.tpot_s),
        ("TTFT", estimate.ttft_s, request.ttft_s),
    ):
        if limit is not None and band.value > _AT_THE_LIMIT * limit:
            held = f"the {name} limit of {format_duration(limit)} holds its batch to {estimate.batch:,}"
            return f"{held} a replica"
    return ""


def _kv(candidate: Candidate) -> int:
    return candidate.kv_cache_tokens or 0


def _rate(candidate: Candidate) -> str:
    return rate_in_words(candidate.estimate.throughput_tokens_per_s) if candidate.estimate else "no estimate"


def _latency(candidate: Candidate) -> str:
    estimate = candidate.estimate
    if estimate is None:
        return "no estimate"
    first, next_ones = duration_in_words(estimate.ttft_s), duration_in_words(estimate.tpot_s)
    return f"first token {first}, then {next_ones} a token"


def _limits(request: PlanRequest) -> str:
    limits = [f"TTFT {format_duration(request.ttft_s)}"] if request.ttft_s else []
    limits += [f"TPOT {format_duration(request.tpot_s)}"] if request.tpot_s else []
    return f" (limits: {', '.join(limits)})"

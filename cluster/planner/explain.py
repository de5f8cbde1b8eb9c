"""Why the first candidate leads and why each other one was passed over, in one sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cluster.planner.describe import duration_in_words, rate_in_words
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate
from cluster.planner.search.placement import LazyPlacement
from cluster.planner.search.rank import SAME, benefit, broken_rules, keeps_limits, request_latency_s
from cluster.units import count_of, format_duration


def explained(feasible: Sequence[Candidate], request: PlanRequest) -> tuple[Candidate, ...]:
    """Return the candidates with their `why`; the first is the one that leads."""
    if not feasible:
        return ()
    best = feasible[0]
    second = feasible[1] if len(feasible) > 1 else None
    lead = replace(best, why=_why_best(best, second, _higher(best, feasible[1:], request), request))
    return (lead, *(replace(other, why=_why_not(other, best, request)) for other in feasible[1:]))


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


def _why_best(
    best: Candidate, second: Candidate | None, higher: Candidate | None, request: PlanRequest
) -> str:
    layout = best.layout
    if layout.gpus_per_replica == 1:
        what = f"{layout.num_replicas} independent copies, no communication between GPUs"
        if layout.num_replicas == 1:
            what = "one copy on one GPU, no communication"
    else:
        what = f"each replica split over {layout.gpus_per_replica} GPUs"
        what += f", {layout.num_replicas} replicas side by side" if layout.num_replicas > 1 else ""
    if not keeps_limits(best, request):
        return f"{what}; no layout keeps the limits, this one comes nearest ({_latency(best)})"
    if second is None:
        pinned = any((request.tp, request.pp, request.dp, request.ep))
        return f"{what}; the only layout that fits{' with these degrees' if pinned else ''}"
    if higher is not None:
        return f"{what}; {_kept_rules(higher, best, request)}"
    gain = benefit(best, request) / max(benefit(second, request), 1e-12) - 1
    if gain > SAME:
        return f"{what}; {_gain(gain, request)} than the next ({second.label})"
    return f"{what}; the simplest to run of those that are about equally good"


def _higher(best: Candidate, others: Sequence[Candidate], request: PlanRequest) -> Candidate | None:
    """Return what is estimated clearly higher and still passed over: it breaks a rule that the best keeps."""
    within = [other for other in others if keeps_limits(other, request)]
    higher = max(within, key=lambda other: benefit(other, request), default=None)
    if higher is None or not keeps_limits(best, request):
        return None
    return higher if benefit(best, request) < benefit(higher, request) * (1 - SAME) else None


def _kept_rules(higher: Candidate, best: Candidate, request: PlanRequest) -> str:
    more = benefit(higher, request) / max(benefit(best, request), 1e-12) - 1
    kept = " and ".join(rule.kept for rule in broken_rules(higher)) or "the simpler layout"
    wins = f"{_gain(more, request)} expected of {higher.label}"
    return f"chosen for {kept}, in spite of {wins}"


def _gain(gain: float, request: PlanRequest) -> str:
    if request.objective == "latency":
        return f"answers {gain:.0%} sooner"
    return f"{gain:.0%} more tokens a second"


def _why_not(other: Candidate, best: Candidate, request: PlanRequest) -> str:
    if keeps_limits(best, request) and not keeps_limits(other, request):
        return f"misses the limits: {_latency(other)}{_limits(request)}"
    told = _compared(other, best, request)
    reason = _reason(other, best, request)
    return f"{told}{f': {reason}' if reason else ''}"


def _compared(other: Candidate, best: Candidate, request: PlanRequest) -> str:
    ratio = benefit(other, request) / max(benefit(best, request), 1e-12)
    if request.objective == "latency":
        ours, theirs = request_latency_s(other, request), request_latency_s(best, request)
        told = f"{format_duration(ours)} a request against {format_duration(theirs)}"
    else:
        told = f"{_rate(other)}, {abs(1 - ratio):.0%} {'less' if ratio < 1 else 'more'}"
    return f"{told} (within the estimate's error)" if abs(1 - ratio) <= SAME else told


def _reason(other: Candidate, best: Candidate, request: PlanRequest) -> str:
    reasons = [*_costs(other, best), *_structure(other, best)]
    if request.objective == "throughput":
        reasons += _sizes(other, best)
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
        share = f"{estimate.all_reduce_share:.0%} of a step"
        yield f"{estimate.all_reduces_per_token} all-reduces a token take {share}"


def _structure(other: Candidate, best: Candidate) -> Iterator[str]:
    ours, theirs, placement = other.layout, best.layout, other.placement
    if ours.dp_attention and not theirs.dp_attention:
        across = isinstance(placement, LazyPlacement) and placement.crosses_network
        where = "and every token crosses the network at every layer" if across else ""
        yield f"attention replicas run in lockstep {where}".rstrip()
    elif ours.ep > theirs.ep:
        yield "the busiest expert rank sets the pace"
    if isinstance(placement, LazyPlacement) and placement.shares_nodes:
        yield "replicas share nodes, so one lost node ends two"


def _sizes(other: Candidate, best: Candidate) -> Iterator[str]:
    ours, theirs = other.layout, best.layout
    if ours.gpus_per_replica > theirs.gpus_per_replica and ours.num_replicas < theirs.num_replicas:
        yield f"{ours.num_replicas} larger replica{'s' if ours.num_replicas > 1 else ''}"
    if ours.gpus_per_replica < theirs.gpus_per_replica and _kv(other) < _kv(best):
        yield f"only {_kv(other):,} tokens of KV room a replica"


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

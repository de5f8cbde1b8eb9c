"""How a layout compares with the recommended one."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.reasons.describe import describe_duration, describe_rate
from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Estimate
from cluster.planner.search.ranking import SAME, benefit, request_latency_s
from cluster.units import count_of, format_duration

_AT_THE_LIMIT = 0.97
"""A figure this close to its limit means that the limit capped the batch."""


def compared(other: Candidate, best: Candidate, request: PlanRequest) -> str:
    """Return the other's figure, and by how much it differs from the best one's."""
    ratio = benefit(other, request) / max(benefit(best, request), 1e-12)
    if request.objective == "latency":
        ours, theirs = request_latency_s(other), request_latency_s(best)
        text = f"{format_duration(ours)} per request instead of {format_duration(theirs)}"
    else:
        text = f"{_rate(other)}, {abs(1 - ratio):.0%} {'less' if ratio < 1 else 'more'}"
    return f"{text} (within the estimate's error)" if 1 - SAME <= ratio <= 1 / (1 - SAME) else text


def reasons_against(other: Candidate, best: Candidate, request: PlanRequest) -> str:
    """Return the other layout's drawbacks against the best one; '' if none stands out."""
    reasons = [*_costs(other, best), *_structure(other, best)]
    if request.objective == "throughput":
        reasons += _sizes(other, best, request)
    elif other.layout.tp < best.layout.tp:
        few, many = count_of(other.layout.tp, "GPU"), f"instead of {best.layout.tp}"
        verb = "computes" if other.layout.tp == 1 else "compute"
        reasons.append(f"{few} {verb} each token {many}")
    return ", ".join(reasons)


def _costs(other: Candidate, best: Candidate) -> Iterator[str]:
    ours, theirs, estimate = other.layout, best.layout, other.estimate
    if ours.gpus < theirs.gpus:
        yield f"uses {ours.gpus} of the {theirs.gpus} GPUs"
    if other.degraded.num_gpus > best.degraded.num_gpus:
        yield f"uses {count_of(other.degraded.num_gpus, 'degraded GPU')}"
    if ours.pp > theirs.pp:
        yield f"{ours.pp} pipeline stages to keep busy"
    if estimate and ours.tp > theirs.tp:
        share = f"{estimate.all_reduce_share:.0%} of a step"
        with_experts = " and the all-to-all" if (estimate.runs_as or ours).dp_attention else ""
        if estimate.all_reduces_per_token:
            yield f"{estimate.all_reduces_per_token} all-reduces per token{with_experts} take {share}"
        else:
            yield f"the all-to-all takes {share}"


def _structure(other: Candidate, best: Candidate) -> Iterator[str]:
    ours, theirs, span = other.layout, best.layout, other.span
    if ours.dp_attention and not theirs.dp_attention:
        where = "and every token crosses the network at every layer" if span.crosses_network else ""
        yield f"attention ranks run in lockstep {where}".rstrip()
    elif ours.ep > theirs.ep:
        yield "the busiest expert rank sets the pace"
    if span.shares_nodes:
        yield "replicas share nodes, so losing one node stops two"


def _sizes(other: Candidate, best: Candidate, request: PlanRequest) -> Iterator[str]:
    ours, theirs = other.layout, best.layout
    if ours.gpus_per_replica > theirs.gpus_per_replica and ours.num_replicas < theirs.num_replicas:
        yield f"{ours.num_replicas} larger replica{'s' if ours.num_replicas > 1 else ''}"
    cap = _batch_cap(other.estimate, request)
    if cap:
        yield cap
    elif ours.gpus_per_replica < theirs.gpus_per_replica and _kv(other) < _kv(best):
        yield f"only {_kv(other):,} tokens of KV cache per replica"


def _batch_cap(estimate: Estimate | None, request: PlanRequest) -> str:
    """Return which limit caps the batch; the estimate is for the largest batch that meets it."""
    if estimate is None or request.concurrency is not None or request.objective == "latency":
        return ""
    for name, band, limit in (
        ("TPOT", estimate.tpot_s, request.tpot_s),
        ("TTFT", estimate.ttft_s, request.ttft_s),
    ):
        if limit is not None and _AT_THE_LIMIT * limit < band.value <= limit:
            return (
                f"batch capped at {estimate.batch:,} per replica by the {format_duration(limit)} {name} limit"
            )
    return ""


def _kv(candidate: Candidate) -> int:
    return candidate.kv_cache_tokens or 0


def _rate(candidate: Candidate) -> str:
    return describe_rate(candidate.estimate.throughput_tokens_per_s) if candidate.estimate else "no estimate"


def latency(candidate: Candidate) -> str:
    """Return how long the first token takes, and each one after it."""
    estimate = candidate.estimate
    if estimate is None:
        return "no estimate"
    first, next_ones = describe_duration(estimate.ttft_s), describe_duration(estimate.tpot_s)
    return f"first token {first}, then {next_ones} per token"


def limits(request: PlanRequest) -> str:
    """Return the user's limits."""
    parts = [f"TTFT {format_duration(request.ttft_s)}"] if request.ttft_s else []
    parts += [f"TPOT {format_duration(request.tpot_s)}"] if request.tpot_s else []
    return f" (limits: {', '.join(parts)})"

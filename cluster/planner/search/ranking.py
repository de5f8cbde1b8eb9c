"""Rank feasible candidates by throughput or latency, simpler layouts first among equals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from cluster.planner.request import PlanRequest
from cluster.planner.result import Candidate, Estimate

SAME = 0.10
"""Estimates closer than this count as equal: the simpler layout is ranked first."""


@dataclass(frozen=True, slots=True)
class Convention:
    """A convention of the field that a layout may break only if it is better by more than a factor."""

    must_win: float
    kept: str
    """What layouts that follow it have."""
    broken: str
    """What a layout that breaks it does."""


DEEP = Convention(1.5, "TP inside nodes and PP across nodes", "uses more pipeline stages than nodes")
"""Across nodes the convention is TP in the node x PP over the nodes. Of the measured pipelines 19 in 20 are
predicted within 21% (ACCURACY.md), so two of them may differ by 1.21 / 0.79 and be equally fast."""

WIDE = Convention(1.25, "as few nodes per replica as possible", "replicas span more nodes than needed")
"""A model that needs k nodes gets k per replica if more replicas then run: a lost node stops fewer."""

SHARED_NODES = Convention(
    1.5, "whole nodes for each replica", "replicas share nodes, so losing one node stops two"
)
"""A replica of k nodes should have k whole nodes: a lost node then stops one replica, not two."""


@dataclass(frozen=True, slots=True)
class SmallestSpan:
    """How many machines a replica needs, and how many such replicas there can be."""

    machines: int
    replicas: int


def smallest_span(candidates: Sequence[Candidate]) -> SmallestSpan:
    """Return the fewest machines per replica among feasible candidates, and how many such replicas fit."""
    spans = [
        (candidate.span.machines_per_replica, -candidate.layout.num_replicas)
        for candidate in candidates
        if candidate.feasible
    ]
    machines, replicas = min(spans, default=(1, -1))
    return SmallestSpan(machines, -replicas)


def broken_conventions(candidate: Candidate, needed: SmallestSpan) -> tuple[Convention, ...]:
    """Return the conventions that a layout breaks, each of which demands a better estimate."""
    layout, span = candidate.layout, candidate.span
    deep = layout.pp > span.nodes_per_replica > 1
    wide = span.machines_per_replica > needed.machines and layout.num_replicas < needed.replicas
    return (DEEP,) * deep + (WIDE,) * wide + (SHARED_NODES,) * span.shares_nodes


def rank(candidates: Sequence[Candidate], request: PlanRequest) -> list[Candidate]:
    """Return the candidates, best first.

    Those within the user's limits come first. Among candidates whose figures are the same within SAME, the
    one without degraded GPUs leads, then the one that is simpler to run: fewer stages, fewer ranks in a
    group, fewer GPUs for equal service. The first has the highest figure, or one within SAME of it, of all
    that keep to the conventions.
    """
    within = [candidate for candidate in candidates if keeps_limits(candidate, request)]
    beyond = [candidate for candidate in candidates if not keeps_limits(candidate, request)]
    return _by_benefit(within, request, smallest_span(candidates)) + sorted(
        beyond, key=lambda one: overshoot(one, request)
    )


def overshoot(candidate: Candidate, request: PlanRequest) -> float:
    """Return by which factor the estimate exceeds the user's limits, at most 1 when it keeps them."""
    estimate = candidate.estimate
    if estimate is None:
        return float("inf")
    ttft = estimate.ttft_s.value / request.ttft_s if request.ttft_s else 0.0
    tpot = estimate.tpot_s.value / request.tpot_s if request.tpot_s else 0.0
    return max(ttft, tpot)


def keeps_limits(candidate: Candidate, request: PlanRequest) -> bool:
    """True when the estimate is within the limits on TTFT and TPOT."""
    return candidate.estimate is not None and meets_limits(candidate.estimate, request)


def meets_limits(estimate: Estimate, request: PlanRequest) -> bool:
    """Return whether the predicted TTFT and TPOT meet the request's limits, if any."""
    return (request.ttft_s is None or estimate.ttft_s.value <= request.ttft_s) and (
        request.tpot_s is None or estimate.tpot_s.value <= request.tpot_s
    )


def benefit(candidate: Candidate, request: PlanRequest) -> float:
    """Return the ranking figure, larger is better: tokens per second, or one over a request's latency."""
    estimate = candidate.estimate
    if estimate is None:
        return 0.0
    if request.objective == "latency":
        return 1.0 / max(1e-9, request_latency_s(candidate))
    return estimate.throughput_tokens_per_s.value


def request_latency_s(candidate: Candidate) -> float:
    """Return seconds from a request's arrival to its last token."""
    return float("inf") if candidate.estimate is None else candidate.estimate.request_s


def _weighed(candidate: Candidate, request: PlanRequest, needed: SmallestSpan) -> float:
    return benefit(candidate, request) / prod(one.must_win for one in broken_conventions(candidate, needed))


def _by_benefit(
    candidates: Sequence[Candidate], request: PlanRequest, needed: SmallestSpan
) -> list[Candidate]:
    weighed = [(_weighed(candidate, request, needed), candidate) for candidate in candidates]
    left = sorted(weighed, key=lambda pair: -pair[0])
    ordered: list[Candidate] = []
    while left:
        floor = left[0][0] * (1 - SAME)
        equal = [pair for pair in left if pair[0] >= floor]
        leader = min(equal, key=lambda pair: _effort(pair[1], request))
        ordered.append(leader[1])
        left = [pair for pair in left if pair is not leader]
    return ordered


def _effort(candidate: Candidate, request: PlanRequest) -> tuple[float, ...]:
    layout, estimate = candidate.layout, candidate.estimate
    # Under a latency objective, equal latencies are ranked by throughput.
    latency = request.objective == "latency" and estimate is not None
    spare_rate = -estimate.throughput_tokens_per_s.value if estimate and latency else 0.0
    return (
        float(candidate.degraded.num_gpus > 0),
        float(layout.pp) if latency else 0.0,  # one more stage never makes a request faster
        spare_rate,
        float(layout.dp_attention),
        float(layout.pp),
        float(layout.tp),
        float(layout.ep),
        float(layout.gpus),
    )

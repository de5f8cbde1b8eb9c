"""What the all-reduces and stage hops of a layout cost per token, for those who look at the links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.inventory import Cluster, Gpu
from cluster.planner.cost.collective import all_reduce_time_s, link_for, send_time_s
from cluster.planner.placement.gpu_types import GpuLookup
from cluster.planner.replica import ReplicaLinks, TpLink
from cluster.planner.result import Candidate, Plan

_ACTIVATION_BYTES = 2
"""Per element of what ranks exchange while they decode."""


@dataclass(frozen=True, slots=True)
class ExchangeCost:
    """One exchange over one link, and all of them per decoded token."""

    link: str
    """The link that sets the pace: 'nvlink', 'pcie' ..."""
    bytes_per_s: float
    """Achieved per direction and GPU."""
    message_bytes: float
    each_s: float
    per_token: int
    """How many a token waits for, one after the other."""
    share: float | None
    """Of a decode step; None where the estimate does not say it."""

    @property
    def total_s(self) -> float:
        """Seconds per decoded token."""
        return self.per_token * self.each_s


def all_reduce_cost(plan: Plan, candidate: Candidate, link: TpLink, gpu: Gpu) -> ExchangeCost | None:
    """Return the cost of the all-reduces over a link; None where the layout has none or was not timed.

    Their number and share are the estimate's; the time of one is that of a link in good health.
    """
    estimate = candidate.estimate
    if estimate is None or not estimate.all_reduces_per_token or plan.request.workload != "inference":
        return None
    kind = GpuLookup().resolve(gpu)
    if kind is None:
        return None
    ranks = (estimate.runs_as or candidate.layout).tp
    found = link_for(link, ranks, kind.spec, _links(plan.cluster))
    message = _message_bytes(plan, candidate)
    return ExchangeCost(
        link=found.kind,
        bytes_per_s=found.bandwidth_bytes_per_s,
        message_bytes=message,
        each_s=all_reduce_time_s(message, ranks, found),
        per_token=estimate.all_reduces_per_token,
        share=estimate.all_reduce_share,
    )


def hop_cost(plan: Plan, candidate: Candidate, link: TpLink, gpu: Gpu) -> ExchangeCost | None:
    """Return the cost of the hops between stages over a link; None without any, or if not timed."""
    estimate, hops = candidate.estimate, candidate.layout.pp - 1
    if estimate is None or not hops or plan.request.workload != "inference":
        return None
    kind = GpuLookup().resolve(gpu)
    if kind is None:
        return None
    found = link_for(link, 2, kind.spec, _links(plan.cluster))
    message = _message_bytes(plan, candidate)
    each_s = send_time_s(message, found)
    return ExchangeCost(
        link=found.kind,
        bytes_per_s=found.bandwidth_bytes_per_s,
        message_bytes=message,
        each_s=each_s,
        per_token=hops,
        share=None,
    )


def _message_bytes(plan: Plan, candidate: Candidate) -> float:
    """Return the bytes that a rank exchanges at once: the activations of one micro-batch."""
    assert candidate.estimate is not None
    layout = candidate.estimate.runs_as or candidate.layout
    batch = candidate.estimate.batch
    lanes = max(1, min(layout.pp, batch)) * layout.attention_ranks
    return batch / lanes * plan.model.hidden_size * _ACTIVATION_BYTES


def _links(cluster: Cluster) -> ReplicaLinks:
    return ReplicaLinks(
        network_bytes_per_s=_least(node.network_bytes_per_s for node in cluster.nodes),
        measured=cluster.measured_links,
    )


def _least(rates: Iterable[float | None]) -> float | None:
    return min((rate for rate in rates if rate is not None), default=None)

"""Alpha-beta times of collectives: all-reduce, all-to-all, send."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cluster.catalog.gpu_spec import GpuSpec
from cluster.catalog.link_spec import LinkSpec, load_links
from cluster.inventory import MeasuredLink
from cluster.planner.replica import ReplicaLinks

RING_SHARE = 2.0
"""A ring all-reduce moves 2 (n - 1) / n of the message over each link (Patarasuk and Yuan, 2009)."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link as a group of `ranks` GPUs sees it."""

    kind: str
    ranks: int
    latency_s: float
    """Of one collective."""
    bandwidth_bytes_per_s: float
    """Achieved, per direction and GPU."""
    send_latency_s: float
    one_shot_latency_s: float | None = None
    one_shot_bytes_per_s: float = 1.0


def all_reduce_time_s(message_bytes: float, ranks: int, link: Link) -> float:
    """Return seconds of one all-reduce of `message_bytes` over `ranks` GPUs; 0 for one rank."""
    if ranks <= 1:
        return 0.0
    ring_s = link.latency_s + RING_SHARE * (ranks - 1) / ranks * message_bytes / link.bandwidth_bytes_per_s
    if link.one_shot_latency_s is None:
        return ring_s
    one_shot_s = link.one_shot_latency_s + (ranks - 1) * message_bytes / link.one_shot_bytes_per_s
    return min(ring_s, one_shot_s)


def all_to_all_time_s(bytes_per_rank: float, ranks: int, link: Link) -> float:
    """Return seconds in which every rank sends (ranks - 1) / ranks of `bytes_per_rank` to the others."""
    if ranks <= 1:
        return 0.0
    return link.latency_s + (ranks - 1) / ranks * bytes_per_rank / link.bandwidth_bytes_per_s


def send_time_s(message_bytes: float, link: Link) -> float:
    """Return seconds of one point-to-point message."""
    return link.send_latency_s + message_bytes / link.bandwidth_bytes_per_s


def link_for(kind: str, ranks: int, gpu: GpuSpec, links: ReplicaLinks) -> Link:
    """Return the link of a group of `ranks` GPUs; one measured on this cluster replaces the constants."""
    kind = _usable_kind(kind, ranks, gpu)
    spec = load_links()[kind]
    nominal = _nominal_bytes_per_s(kind, gpu, links) or spec.default_bytes_per_s or gpu.pcie_bytes_per_s
    latency_s, fraction = _latency_s(spec, ranks), _fraction(spec, ranks)
    usual = Link(
        kind=kind,
        ranks=ranks,
        latency_s=latency_s,
        bandwidth_bytes_per_s=nominal * fraction,
        send_latency_s=spec.send_latency_s,
        one_shot_latency_s=spec.one_shot_latency_s,
        one_shot_bytes_per_s=max(1.0, nominal * spec.one_shot_fraction),
    )
    measured = _measured(usual, gpu, links)
    link = usual if measured is None else _as_measured(usual, spec, measured)
    return _slowed(link, gpu, links)


def _slowed(link: Link, gpu: GpuSpec, links: ReplicaLinks) -> Link:
    """Return the link over the worst GPU's wires; the network is reached over PCIe."""
    condition = links.condition
    if link.kind in ("nvlink", "nvlink_domain"):
        share = condition.nvlink if gpu.nvlink_bytes_per_s else condition.pcie
    elif link.kind == "network":
        share = min(1.0, gpu.pcie_bytes_per_s * condition.pcie / link.bandwidth_bytes_per_s)
    else:
        share = condition.pcie
    if not condition.degraded or share == 1.0:
        return link
    return replace(
        link,
        bandwidth_bytes_per_s=link.bandwidth_bytes_per_s * share,
        one_shot_bytes_per_s=max(1.0, link.one_shot_bytes_per_s * share),
    )


def _as_measured(usual: Link, spec: LinkSpec, measured: MeasuredLink) -> Link:
    """Return a link as it was measured; over another number of ranks, scaled the way the constants scale."""
    own = measured.num_ranks
    bandwidth = measured.bandwidth_bytes_per_s * _fraction(spec, usual.ranks) / _fraction(spec, own)
    rings_alone = measured.library == "nccl"
    faster = bandwidth / usual.bandwidth_bytes_per_s
    return Link(
        kind=usual.kind,
        ranks=usual.ranks,
        latency_s=measured.latency_s * usual.latency_s / _latency_s(spec, own),
        bandwidth_bytes_per_s=bandwidth,
        send_latency_s=min(spec.send_latency_s, measured.latency_s),
        # An engine's own all-reduce of small messages goes over the same wires, and was not measured.
        one_shot_latency_s=usual.one_shot_latency_s if rings_alone else None,
        one_shot_bytes_per_s=max(1.0, usual.one_shot_bytes_per_s * faster) if rings_alone else 1.0,
    )


def _latency_s(spec: LinkSpec, ranks: int) -> float:
    return spec.base_latency_s + spec.rank_latency_s * ranks


def _fraction(spec: LinkSpec, ranks: int) -> float:
    """Return the share of the nominal rate that a ring of `ranks` reaches."""
    fraction = spec.bandwidth_fraction + spec.bandwidth_fraction_per_rank * max(0, ranks - 2)
    return float(min(fraction, spec.bandwidth_fraction_limit) / max(1, ranks - 1) ** spec.crowding)


def _usable_kind(kind: str, ranks: int, gpu: GpuSpec) -> str:
    """Return the link that sets the pace: an NVLink bridge joins two GPUs, so larger groups use PCIe."""
    if kind == "none" or (kind == "nvlink" and not gpu.nvlink_bytes_per_s):
        return "pcie"
    if kind == "nvlink" and gpu.nvlink_topology == "bridge" and ranks > 2:
        return "pcie"
    return kind


def _nominal_bytes_per_s(kind: str, gpu: GpuSpec, links: ReplicaLinks) -> float | None:
    if kind in ("nvlink", "nvlink_domain"):
        return gpu.nvlink_bytes_per_s or gpu.pcie_bytes_per_s
    if kind == "network":
        return links.network_bytes_per_s
    return gpu.pcie_bytes_per_s


def _measured(usual: Link, gpu: GpuSpec, links: ReplicaLinks) -> MeasuredLink | None:
    """Return the measurement of this link over the nearest number of ranks."""
    scope = "cross_node" if usual.kind == "network" else "node"
    same = [
        link
        for link in links.measured
        if link.scope == scope and link.kind in (None, usual.kind) and link.gpu_type in (None, gpu.type)
    ]
    return min(same, key=lambda link: abs(link.num_ranks - usual.ranks), default=None)

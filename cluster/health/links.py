"""Signs of links that are down, narrow or faulty."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.detail import GpuDetail
from cluster.gpu_facts import GpuFacts
from cluster.gpu_health import Slowdown
from cluster.health.sign import GpuSeen, Sign, SlowSeen, at_least
from cluster.health.thresholds import Thresholds
from cluster.units import count_of

SWITCH = "switch"
"""The remote end of a link that leads to an NVLink switch."""


def expected_nvlinks(like: Sequence[tuple[GpuDetail, GpuFacts]]) -> tuple[int | None, bool]:
    """Return how many NVLinks each of these GPUs of one node and type should have up, and whether switches
    join them. Behind switches it is all of them. Elsewhere boards wire and bridge what they like, so it is
    what the best connected GPU has; None if no link of any of them is up."""
    active = [sum(link.active for link in detail.links) for detail, _ in like]
    if not any(active):
        return None, False
    switched = any(link.remote == SWITCH for detail, _ in like for link in detail.links)
    there = [facts.num_nvlinks or len(detail.links) for detail, facts in like]
    return max(there if switched else active), switched


def nvlink_signs(seen: SlowSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield signs for NVLinks that are down, count errors, or run through a degraded fabric."""
    expected, links = seen.expected_nvlinks, seen.detail.links
    active = sum(link.active for link in links)
    if expected and links and active < expected:
        if active:
            text = f"{expected - active} of {expected} NVLinks down"
            yield Sign("nvlinks_down", text, Slowdown(nvlink=at_least(active / expected)))
        elif seen.switched:
            yield Sign("all_nvlinks_down", f"all {expected} NVLinks down")
    errors = sum(link.errors or 0 for link in links)
    if errors >= limits.nvlink.errors:
        worst = max(links, key=lambda link: link.errors or 0)
        text = f"{count_of(errors, 'NVLink error')} since the driver was loaded, most on link {worst.link}"
        yield Sign("nvlink_errors", text)
    if seen.detail.fabric_problems:
        text = f"NVLink fabric: {', '.join(seen.detail.fabric_problems)}"
        yield Sign("fabric_degraded", text, Slowdown(nvlink=limits.nvlink.fabric_share))


def pcie_signs(seen: GpuSeen, limits: Thresholds) -> Iterator[Sign]:
    """Yield a sign for a PCIe link with too few lanes, or of too low a generation while the GPU works."""
    detail, facts = seen.detail, seen.facts
    width, most_lanes = detail.pcie_width, facts.max_pcie_width
    generation, newest = detail.pcie_generation, facts.max_pcie_generation
    lanes = width / most_lanes if width and most_lanes else 1.0
    slower = bool(generation and newest and generation < newest and _is_working(seen, limits))
    if lanes >= 1 and not slower:
        return
    per_lane = limits.pcie.lane_bytes_per_s
    speed = 1.0
    if slower and generation in per_lane and newest in per_lane:
        speed = per_lane[generation] / per_lane[newest]
    if not slower:  # an idle GPU's generation is no evidence
        generation = newest = None
    text = f"PCIe {_shape(generation, width)} of {_shape(newest, most_lanes)}"
    yield Sign("pcie_narrow", text, Slowdown(pcie=at_least(lanes * speed)))


def _is_working(seen: GpuSeen, limits: Thresholds) -> bool:
    used, p_state, rule = seen.used_percent, seen.reading.performance_state, limits.pcie
    if used is not None and used >= rule.busy_percent:
        return True
    is_idle = limits.clocks.idle in (seen.reading.throttle_reasons or ())
    return p_state is not None and p_state <= rule.fastest_p_state and not is_idle


def _shape(generation: int | None, width: int | None) -> str:
    return " ".join([f"gen{generation}"] * bool(generation) + [f"x{width}"] * bool(width)) or "unknown"

"""What `clusterview doctor` reports of a cluster's nodes and GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cluster.inventory import Cluster, Gpu, Node
from cluster.planner.reasons.describe import describe_cluster, number_ranges
from cluster.probe.query import is_driver_failure
from cluster.units import count_of, format_gib

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    subject: str
    state: State
    told: str


def gpu_findings(subject: str, cluster: Cluster) -> Iterator[Finding]:
    """Report the cluster under `subject`, then what is wrong with nodes and GPUs, or special about them."""
    summary = describe_cluster(cluster) if cluster.num_gpus else f"no GPU: {_where_none(cluster)}"
    yield Finding(subject, "ok" if cluster.num_gpus else "warn", summary)
    for node in cluster.nodes:
        if node.error:
            yield Finding(node.name, "fail" if is_driver_failure(node.error) else "warn", node.error)
        yield from _left_out(node)
        yield from _unified(node)
        for gpu in node.gpus:
            yield from _health(f"{node.name} GPU {gpu.index}", gpu)


def _health(subject: str, gpu: Gpu) -> Iterator[Finding]:
    health = gpu.health
    if gpu.unhealthy_reason:
        judged = health is not None and health.state == "unhealthy"
        yield Finding(subject, "fail", health.summary if health and judged else gpu.unhealthy_reason)
    elif health is not None and health.state == "degraded":
        yield Finding(subject, "warn", f"degraded: {health.summary}")


def _left_out(node: Node) -> Iterator[Finding]:
    """Report which GPUs no plan uses although they work: a warning only where none is left."""
    reasons = {gpu.excluded_reason: None for gpu in node.gpus if gpu.excluded_reason}
    state: State = "ok" if any(gpu.excluded_reason is None for gpu in node.gpus) else "warn"
    for reason in reasons:
        out = [gpu.index for gpu in node.gpus if gpu.excluded_reason == reason]
        yield Finding(
            node.name,
            state,
            f"{len(out)} of {count_of(len(node.gpus), 'GPU')} {reason}: {number_ranges(out)}",
        )


def _unified(node: Node) -> Iterator[Finding]:
    for gpu in node.gpus:
        if gpu.unified_memory:
            sizes = f"{format_gib(gpu.memory_total_bytes)}, {format_gib(gpu.memory_free_bytes)} of it free"
            told = f"its memory is unified with the machine's: {sizes}"
            yield Finding(f"{node.name} GPU {gpu.index}", "ok", told)


def _where_none(cluster: Cluster) -> str:
    if cluster.source == "ray" and not any(node.error for node in cluster.nodes):
        return f"neither Ray nor NVML reports one on {count_of(len(cluster.nodes), 'node')}"
    failed = any(node.error and is_driver_failure(node.error) for node in cluster.nodes)
    return "see below" if failed or cluster.source == "ray" else "try --simulate"

"""What every export says on top: what it starts, and what was predicted for it."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.export.target import ExportTarget
from cluster.units import count_of, format_count


def heading(target: ExportTarget) -> Iterator[str]:
    """Yield lines that say which layout this is, and its predicted figures."""
    plan, candidate = target.plan, target.candidate
    per_replica = count_of(candidate.layout.gpus_per_replica, "GPU")
    replicas = count_of(len(target.replicas), "replica")
    yield f"{plan.model.name}: {candidate.label}, {replicas} of {per_replica}"
    yield f"planned by clusterview for {plan.engine_name} {plan.engine_version}"
    yield from _predicted(target)


def _predicted(target: ExportTarget) -> Iterator[str]:
    candidate = target.candidate
    if candidate.kv_cache_tokens:
        yield f"predicted: {candidate.kv_cache_tokens:,} tokens of KV cache per replica"
    if candidate.estimate is not None:
        speed = candidate.estimate.throughput_tokens_per_s
        low, high = format_count(speed.low), format_count(speed.high)
        yield f"predicted: {format_count(speed.value)} output tokens/s ({low} to {high}) in all"

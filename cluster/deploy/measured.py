"""From what a deployment's processes report to what was measured of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from cluster.deploy.rank_report import RankReport
from cluster.deploy.status import Measured, ReplicaStatus
from cluster.engines.startup import StartupFacts, merged

_FROM_LOG = (
    "weights_bytes",
    "activation_bytes",
    "cuda_graph_bytes",
    "non_torch_bytes",
    "kv_cache_bytes",
    "kv_cache_tokens",
    "max_concurrency",
)
_NO_TRAFFIC = "no user traffic now"
_NO_REQUESTS = "no request of a user was answered lately"
_ROUNDED = "the engine's log rounds it to 0.00 GiB"
_SIMULATED = "simulated GPUs: a stand-in runs on the CPU"


def facts_of(reports: Iterable[RankReport]) -> StartupFacts | None:
    """Return what the processes of one replica logged of themselves, as one; None if none logs anything."""
    known = [report.facts for report in reports if report.facts is not None]
    return reduce(merged, known) if known else None


def measured_of(
    replicas: Sequence[ReplicaStatus], reports: Iterable[RankReport], *, is_server: bool, simulated: bool
) -> Measured:
    """Return the figures of a deployment, and for each that it lacks the reason.

    `reports` are those of all its processes; `is_server`: an engine runs as a process of its own, instead of
    the built-in one inside the ranks.
    """
    facts = reduce(merged, (one.startup for one in replicas if one.startup is not None), StartupFacts())
    values: dict[str, float | None] = {name: getattr(facts, name) for name in _FROM_LOG}
    values["total_bytes"] = None if simulated else _fullest(reports)
    values["throughput_tokens_per_s"] = sum(one.tokens_per_s for one in replicas) or None
    values["ttft_s"] = _mean((one.ttft_s, one.tokens_per_s) for one in replicas)
    values["tpot_s"] = _mean((one.tpot_s, one.tokens_per_s) for one in replicas)
    is_ready = any(one.ready for one in replicas)
    reasons = _reasons(is_server=is_server, simulated=simulated, is_ready=is_ready)
    for name in ("weights_bytes", "kv_cache_bytes"):
        # No server is without them.
        if values[name] == 0:
            values[name], reasons[name] = None, _ROUNDED
    absent = {name: reasons[name] for name, value in values.items() if value is None}
    return Measured.model_validate({**values, "absent": absent})


def _fullest(reports: Iterable[RankReport]) -> int | None:
    """Return the bytes on the fullest GPU: by NVML of a server's processes, else by a rank's allocator."""
    held = [
        size
        for report in reports
        for size in (*report.figures.memory_by_gpu.values(), report.figures.memory_used_bytes or 0)
    ]
    return max(held, default=0) or None


def _mean(values: Iterable[tuple[float | None, float]]) -> float | None:
    """Return the mean of what there is, weighted by the second of each pair where any is above 0."""
    known = [(value, weight) for value, weight in values if value is not None]
    if not known:
        return None
    total = sum(weight for _, weight in known)
    if total <= 0:
        return sum(value for value, _ in known) / len(known)
    return sum(value * weight for value, weight in known) / total


def _reasons(*, is_server: bool, simulated: bool, is_ready: bool) -> dict[str, str]:
    """Return why each figure may be absent."""
    if is_server:
        log = "the engine did not log it" if is_ready else "the engine has not logged it yet"
        total = "NVML has no reading of the engine's processes"
    else:
        log = "the built-in engine does not measure it"
        total = "no rank holds memory yet"
    reasons = {**dict.fromkeys(_FROM_LOG, log), "total_bytes": total}
    if not is_server:
        reasons["cuda_graph_bytes"] = "the built-in engine has no CUDA graphs"
    if simulated:
        reasons.update({name: _SIMULATED for name in reasons if name.endswith("_bytes")})
    return {
        **reasons,
        "throughput_tokens_per_s": _NO_TRAFFIC,
        "ttft_s": _NO_REQUESTS,
        "tpot_s": _NO_REQUESTS,
    }

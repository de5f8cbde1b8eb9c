"""A deployment as lines of text for `status`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cluster.cli.last_log import last_log_lines
from cluster.cli.troubles import trouble_lines
from cluster.deploy.comparison import compare
from cluster.deploy.comparison_text import OUTSIDE, ComparisonCells, cells_of, missing_lines
from cluster.deploy.status import DeploymentStatus, RankStatus, ReplicaStatus
from cluster.units import count_of, format_bytes, format_duration


def status_lines(title: str, status: DeploymentStatus) -> Iterator[str]:
    """Yield everything about a deployment on the cluster `title`."""
    reason = f": {status.reason}" if status.reason else ""
    yield f"{status.name}  {status.state}{reason}  ({format_duration(status.age_s)})"
    mark = f"  SIMULATED, {status.scale}" if status.simulated else ""
    yield f"  {status.model}  {status.label}  on {title}{mark}"
    yield from _what_runs(status)
    if status.endpoint:
        yield f"  {status.endpoint}/v1  {status.tokens_per_s:,.1f} tokens/s"
    yield from trouble_lines(status)
    yield from comparison_lines(status)
    for replica in status.replicas:
        yield from _replica_lines(replica)
        yield from (_rank_line(rank) for rank in status.ranks if rank.replica == replica.replica)
    yield from (f"  {line}" for line in last_log_lines(status))


def _what_runs(status: DeploymentStatus) -> Iterator[str]:
    """The engine and the weights, and what differs from what was asked for."""
    if status.engine is not None:
        dummy = "  DUMMY WEIGHTS" if status.weights == "dummy" else ""
        yield f"  engine {status.engine.text}{dummy}"
    yield from (f"  note: {remark}" for remark in status.remarks)
    if status.scaling is not None and status.scaling.failure_note:
        yield f"  {status.scaling.failure_note}"


def comparison_lines(status: DeploymentStatus) -> Iterator[str]:
    """Yield the table of predicted and measured figures, then why some are missing."""
    rows = [cells_of(row) for row in compare(status)]
    shown = [row for row in rows if row.is_measured]
    if shown:
        heading = ("", "predicted", "measured", "error")
        yield from _columns(
            (heading, *((row.title, row.predicted, row.measured, _error(row)) for row in shown))
        )
    if status.ranks:
        yield from (f"    {line}" for line in missing_lines(rows))


def _error(row: ComparisonCells) -> str:
    return f"{row.error}  {OUTSIDE}" if row.is_outside else row.error


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows in columns as wide as they must be; figures are right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for title, predicted, measured, error in rows:
        cells = (f"{title:<{widths[0]}}", f"{predicted:<{widths[1]}}", f"{measured:>{widths[2]}}", error)
        yield f"    {'  '.join(cells)}".rstrip()


def _replica_lines(replica: ReplicaStatus) -> Iterator[str]:
    parts = ["ready" if replica.ready else "not ready", count_of(replica.requests_total, "request")]
    if replica.draining:
        parts.append("draining")
    parts.append(f"{replica.in_flight:,} in flight")
    parts.append(f"{replica.tokens_per_s:,.1f} tokens/s")
    if replica.all_reduces_per_token is not None and replica.all_reduce_share is not None:
        share = f"{100 * replica.all_reduce_share:.0f}% of the time"
        parts.append(f"{replica.all_reduces_per_token:,.0f} all-reduces per token, {share}")
    if replica.restarts:
        parts.append(count_of(replica.restarts, "restart"))
    yield f"  replica {replica.replica}: {', '.join(parts)}"
    if engine := engine_parts(replica):
        yield f"    engine: {', '.join(engine)}"


def engine_parts(replica: ReplicaStatus) -> list[str]:
    """Return what the engine's own metrics say: '3 running', 'KV cache 41% used' ..."""
    parts = []
    if replica.running is not None:
        parts.append(f"{replica.running:,} running")
    if replica.waiting is not None:
        parts.append(f"{replica.waiting:,} waiting")
    if replica.kv_cache_use is not None:
        parts.append(f"KV cache {100 * replica.kv_cache_use:.0f}% used")
    if replica.prefix_hit_rate is not None:
        parts.append(f"{100 * replica.prefix_hit_rate:.0f}% prefix cache hits")
    if replica.proven_age_s is not None:
        parts.append(f"last token {format_duration(replica.proven_age_s)} ago")
    return parts


def _rank_line(rank: RankStatus) -> str:
    where = f"{rank.node_name} GPU {rank.gpu_index}"
    progress = f" {100 * rank.progress:.0f}%" if rank.progress is not None else ""
    reason = f": {rank.reason}" if rank.reason else ""
    memory = f", {format_bytes(rank.memory_used_bytes)} used" if rank.memory_used_bytes is not None else ""
    return f"    stage {rank.stage} rank {rank.rank}  {where}  {rank.state}{progress}{reason}{memory}"

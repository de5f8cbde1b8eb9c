"""A deployment in lines: its state, prediction beside measurement, its replicas and its ranks. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from cluster.deploy.status import (
    SERVING,
    DeploymentState,
    DeploymentStatus,
    RankState,
    RankStatus,
    ReplicaStatus,
)
from cluster.units import NOT_AVAILABLE
from tui.format import age, fit, gib, rate, role_name
from tui.glyphs import CROSS, DOT, FREE, OK, ROLE_PLANNED, TROUBLE, USED
from tui.look import Look

_STATE_STYLE = {
    DeploymentState.STARTING: "accent",
    DeploymentState.READY: "good",
    DeploymentState.DEGRADED: "warning",
    DeploymentState.STOPPING: "warning",
    DeploymentState.STOPPED: "muted",
    DeploymentState.FAILED: "bad",
}
_BAR_CELLS = 8
_CELL_WIDTH = 38


def deployment_lines(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, look: Look
) -> list[Text]:
    """Draw one deployment; `used_bytes` is what NVML reads of each GPU, by uuid."""
    lines = [title_line(status, look), *_remarks(status, look), *measured_lines(status, used_bytes, look)]
    if status.replicas and any(replica.ready for replica in status.replicas):
        lines.append(_replica_heading(width, look))
        lines.extend(replica_line(replica, width, look) for replica in status.replicas)
    if status.ranks:
        lines.extend(_rank_lines(status, width, look))
    return lines


def title_line(status: DeploymentStatus, look: Look) -> Text:
    """Draw name, layout, state and age: 'llama · TP=4, DP=2 · ready · 2 min'."""
    style = getattr(look, _STATE_STYLE[status.state])
    sign = {DeploymentState.READY: OK, DeploymentState.FAILED: CROSS}.get(status.state, ROLE_PLANNED)
    line = Text(no_wrap=True, end="")
    line.append(f"{sign} {status.state}", style).append(f" {age(status.age_s)}  ", look.muted)
    line.append(status.name, look.strong).append(f"  {status.label}  {status.model}", look.muted)
    return line


def _remarks(status: DeploymentStatus, look: Look) -> list[Text]:
    lines = []
    if status.reason:
        bad = status.state in (DeploymentState.FAILED, DeploymentState.DEGRADED)
        lines.append(Text(status.reason, look.bad if bad else look.muted, end=""))
    if status.endpoint:
        verb = "serves" if status.state in SERVING else "will serve"
        lines.append(Text(f"{verb} {status.endpoint}", look.muted, end=""))
    if status.simulated:
        line = Text("SIMULATED ", look.warning, end="")
        line.append(f"scaled model: {status.scale}" if status.scale else "on the CPU", look.muted)
        lines.append(line)
    return lines


def measured_lines(status: DeploymentStatus, used_bytes: Mapping[str, int], look: Look) -> list[Text]:
    """Draw what was predicted beside what is measured: rate, and memory of the fullest GPU."""
    scaled = status.simulated and status.scale is not None
    rates = Text(f"{'rate':<9}", look.muted, no_wrap=True, end="")
    serves = any(replica.ready for replica in status.replicas)
    measured = f"{rate(status.tokens_per_s)} tok/s" if serves else NOT_AVAILABLE
    rates.append(fit(measured, 12, "right"), look.strong)
    rates.append(" measured, scaled model" if scaled else " measured", look.muted)
    if status.predicted_tokens_per_s is not None:
        value, low, high = status.predicted_tokens_per_s
        rates.append(f"   {rate(value)} ({rate(low)}–{rate(high)})", look.plain)
        rates.append(" predicted, full load", look.muted)
    lines = [rates]
    pairs = [
        (used_bytes[uuid], planned)
        for uuid, planned in status.planned_bytes_by_gpu.items()
        if uuid in used_bytes
    ]
    if pairs:
        used, planned = max(pairs)
        memory = Text(f"{'memory':<9}", look.muted, no_wrap=True, end="")
        memory.append(fit(f"{gib(used)} GiB", 12, "right"), look.strong)
        source = "simulated" if status.simulated else "measured"
        memory.append(f" {source}, fullest GPU   ", look.muted)
        memory.append(f"{gib(planned)} GiB", look.plain).append(" predicted", look.muted)
        lines.append(memory)
    return lines


_REPLICA_COLUMNS = (
    ("requests", 9),
    ("in flight", 10),
    ("tok/s", 8),
    ("all-reduces a token", 21),
    ("time in them", 14),
    ("restarts", 10),
)


def _replica_heading(width: int, look: Look) -> Text:
    line = Text(fit("replica", 13), look.muted, no_wrap=True, end="")
    for name, cells in _REPLICA_COLUMNS:
        line.append(fit(name, cells, "right"))
    line.truncate(width)
    return line


def replica_line(replica: ReplicaStatus, width: int, look: Look) -> Text:
    """Draw a replica's service: requests, rate, all-reduces a token and their share of the time."""
    line = Text(no_wrap=True, end="")
    line.append(fit(f"R{replica.replica}", 5), look.replica(replica.replica))
    word, style = (f"{OK} ready", look.good) if replica.ready else (f"{TROUBLE} waits", look.warning)
    line.append(fit(word, 8), style)
    count, share = replica.all_reduces_per_token, replica.all_reduce_share
    cells = (
        f"{replica.requests_total:,}",
        f"{replica.in_flight:,}",
        rate(replica.tokens_per_s),
        NOT_AVAILABLE if count is None else f"{count:,.0f}",
        NOT_AVAILABLE if share is None else f"{share:.0%}",
        f"{replica.restarts:,}",
    )
    for text, (_, size) in zip(cells, _REPLICA_COLUMNS, strict=True):
        line.append(fit(text, size, "right"), look.plain)
    line.truncate(width)
    return line


def _rank_lines(status: DeploymentStatus, width: int, look: Look) -> list[Text]:
    tp = 1 + max(rank.rank for rank in status.ranks)
    pp = 1 + max(rank.stage for rank in status.ranks)
    all_ready = all(rank.state is RankState.READY for rank in status.ranks)
    if width >= 100:
        return [_rank_row(rank, status, tp, pp, look) for rank in status.ranks]
    per_line = max(1, width // _CELL_WIDTH)
    if all_ready:
        return []
    cells = [_rank_cell(rank, tp, pp, look) for rank in status.ranks]
    lines = []
    for start in range(0, len(cells), per_line):
        line = Text(no_wrap=True, end="")
        for cell in cells[start : start + per_line]:
            cell.truncate(_CELL_WIDTH, pad=True)
            line.append_text(cell)
        lines.append(line)
    return lines


def _rank_cell(rank: RankStatus, tp: int, pp: int, look: Look) -> Text:
    """Draw a rank in few cells: 'R0·T2 loading ▇▇▇▁▁ 62% 3 s'."""
    cell = Text(no_wrap=True, end="")
    name = role_name(rank.replica, rank.stage, rank.rank, tp, pp)
    cell.append(fit(name, 6 if pp == 1 else 9), look.replica(rank.replica)).append(" ")
    cell.append_text(_state_text(rank, look, brief=True))
    return cell


def _rank_row(rank: RankStatus, status: DeploymentStatus, tp: int, pp: int, look: Look) -> Text:
    """Draw a rank with its GPU, state and memory, predicted beside measured."""
    row = Text(no_wrap=True, end="")
    name = role_name(rank.replica, rank.stage, rank.rank, tp, pp)
    row.append(fit(name, 10), look.replica(rank.replica))
    row.append(fit(f"{rank.node_name} GPU {rank.gpu_index}", 24), look.muted)
    state = _state_text(rank, look)
    state.truncate(40, pad=True)
    row.append_text(state)
    planned = status.planned_bytes_by_gpu.get(rank.gpu_uuid)
    held = gib(rank.memory_used_bytes, 2 if status.simulated else 1)
    row.append(f"  holds {held} GiB", look.plain)
    row.append(f"  planned {gib(planned)} GiB", look.muted)
    if rank.reason:
        row.append(f"  {rank.reason}", look.bad if rank.state is RankState.FAILED else look.muted)
    return row


def _state_text(rank: RankStatus, look: Look, brief: bool = False) -> Text:
    text = Text(no_wrap=True, end="")
    if rank.state is RankState.READY:
        return text.append(f"{OK} ready", look.good).append(f" {age(rank.age_s)}", look.muted)
    if rank.state is RankState.FAILED:
        return text.append(f"{CROSS} failed", look.bad).append(f" {rank.reason}", look.muted)
    text.append(f"{ROLE_PLANNED} {rank.state}", look.accent)
    if rank.progress is not None and rank.state is RankState.LOADING:
        done = round(max(0.0, min(1.0, rank.progress)) * _BAR_CELLS)
        text.append(" ").append(USED * done, look.accent).append(FREE * (_BAR_CELLS - done), look.free)
        text.append(f" {rank.progress:.0%}", look.plain)
    limit = f" of {rank.deadline_s:.0f} s" if rank.deadline_s is not None and not brief else ""
    return text.append(f" {DOT} {age(rank.age_s)}{limit}", look.muted)

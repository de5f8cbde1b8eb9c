"""A deployment in lines: its state, prediction beside measurement, its replicas and its ranks. Pure."""

from __future__ import annotations

from rich.text import Text

from cluster.deploy.status import (
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


def deployment_lines(status: DeploymentStatus, width: int, look: Look) -> list[Text]:
    """Draw one deployment."""
    lines = [title_line(status, look), *_remarks(status, look), measured_line(status, look)]
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
    line.append(status.name, look.strong).append(f"  {status.model}  {status.label}", look.muted)
    return line


def _remarks(status: DeploymentStatus, look: Look) -> list[Text]:
    lines = []
    if status.reason:
        bad = status.state in (DeploymentState.FAILED, DeploymentState.DEGRADED)
        lines.append(Text(status.reason, look.bad if bad else look.muted, end=""))
    if status.endpoint:
        lines.append(Text(f"serves {status.endpoint}", look.muted, end=""))
    if status.simulated:
        line = Text("SIMULATED ", look.warning, end="")
        line.append(f"scaled model: {status.scale}" if status.scale else "on the CPU", look.muted)
        lines.append(line)
    return lines


def measured_line(status: DeploymentStatus, look: Look) -> Text:
    """Draw the predicted rate beside the measured one."""
    line = Text("tokens/s  ", look.muted, no_wrap=True, end="")
    measured = rate(status.tokens_per_s) if status.replicas else NOT_AVAILABLE
    of_scaled = " (scaled model)" if status.simulated and status.scale else ""
    line.append("measured ", look.muted).append(measured, look.strong).append(of_scaled, look.muted)
    if status.predicted_tokens_per_s is not None:
        value, low, high = status.predicted_tokens_per_s
        line.append("   predicted ", look.muted)
        line.append(f"{rate(value)} ({rate(low)}–{rate(high)})", look.plain)
        line.append(" at full size and full load" if of_scaled else " at full load", look.muted)
    return line


def _replica_heading(width: int, look: Look) -> Text:
    names = "replica       requests  in flight   tokens/s  all-reduces/token  share of time  restarts"
    return Text(names[:width], look.muted, no_wrap=True, end="")


def replica_line(replica: ReplicaStatus, width: int, look: Look) -> Text:
    """Draw a replica's service: requests, rate, all-reduces a token and their share of the time."""
    line = Text(no_wrap=True, end="")
    line.append(fit(f"R{replica.replica}", 4), look.replica(replica.replica))
    word, style = ("ready", look.good) if replica.ready else ("waits", look.warning)
    line.append(fit(f"{OK if replica.ready else TROUBLE} {word}", 9), style)
    line.append(f"{replica.requests_total:>9,}  {replica.in_flight:>9,}", look.plain)
    line.append(f"  {rate(replica.tokens_per_s):>9}", look.plain)
    reduces = (
        NOT_AVAILABLE if replica.all_reduces_per_token is None else f"{replica.all_reduces_per_token:,.0f}"
    )
    share = NOT_AVAILABLE if replica.all_reduce_share is None else f"{replica.all_reduce_share:.0%}"
    line.append(f"  {reduces:>17}  {share:>13}  {replica.restarts:>8}", look.muted)
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
    cell.append_text(_state_text(rank, look))
    return cell


def _rank_row(rank: RankStatus, status: DeploymentStatus, tp: int, pp: int, look: Look) -> Text:
    """Draw a rank with its GPU, state and memory, predicted beside measured."""
    row = Text(no_wrap=True, end="")
    name = role_name(rank.replica, rank.stage, rank.rank, tp, pp)
    row.append(fit(name, 10), look.replica(rank.replica))
    row.append(fit(f"{rank.node_name} GPU {rank.gpu_index}", 24), look.muted)
    state = _state_text(rank, look)
    state.truncate(34, pad=True)
    row.append_text(state)
    planned = status.planned_bytes_by_gpu.get(rank.gpu_uuid)
    held = gib(rank.memory_used_bytes, 2 if status.simulated else 1)
    row.append(f"  holds {held} GiB", look.plain)
    row.append(f"  planned {gib(planned)} GiB", look.muted)
    if rank.reason:
        row.append(f"  {rank.reason}", look.bad if rank.state is RankState.FAILED else look.muted)
    return row


def _state_text(rank: RankStatus, look: Look) -> Text:
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
    limit = f" of {rank.deadline_s:.0f} s" if rank.deadline_s is not None else ""
    return text.append(f" {DOT} {age(rank.age_s)}{limit}", look.muted)

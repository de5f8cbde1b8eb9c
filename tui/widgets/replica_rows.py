"""The replicas of a deployment: while they start, where each server is; then what each serves. Pure."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from cluster.deploy.server_names import ServerName, servers_of
from cluster.deploy.status import DeploymentStatus, RankState, RankStatus, ReplicaStatus
from cluster.units import NOT_AVAILABLE, format_duration
from tui.format import age, fit, rate
from tui.glyphs import CROSS, DOT, FREE, OK, ROLE_PLANNED, TROUBLE, USED
from tui.styles import Styles

_FIRST_CELLS = 14
_BAR_CELLS = 12
_Column = tuple[str, int, Callable[[ReplicaStatus], str]]


def _share(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else f"{value:.0%}"


def _count(value: float | None) -> str:
    return NOT_AVAILABLE if value is None else f"{value:,.0f}"


_BUILTIN_COLUMNS: tuple[_Column, ...] = (
    ("requests", 10, lambda one: _count(one.requests_total)),
    ("in flight", 11, lambda one: _count(one.in_flight)),
    ("tok/s", 8, lambda one: rate(one.tokens_per_s)),
    ("all-reduces/token", 19, lambda one: _count(one.all_reduces_per_token)),
    ("% of time", 12, lambda one: _share(one.all_reduce_share)),
    ("restarts", 10, lambda one: _count(one.restarts)),
)
_SERVER_COLUMNS: tuple[_Column, ...] = (
    ("running", 9, lambda one: _count(one.running)),
    ("waiting", 9, lambda one: _count(one.waiting)),
    ("tok/s", 8, lambda one: rate(one.tokens_per_s)),
    ("KV use", 8, lambda one: _share(one.kv_cache_use)),
    ("prefix hits", 13, lambda one: _share(one.prefix_hit_rate)),
    ("requests", 10, lambda one: _count(one.requests_total)),
    ("TTFT", 10, lambda one: format_duration(one.ttft_s)),
    ("TPOT", 10, lambda one: format_duration(one.tpot_s)),
    ("restarts", 10, lambda one: _count(one.restarts)),
)


def replica_lines(status: DeploymentStatus, width: int, styles: Styles) -> list[Text]:
    """Draw each replica below a heading, once one is ready; nothing before."""
    if not any(replica.ready for replica in status.replicas):
        return []
    columns = _columns_in(width, _SERVER_COLUMNS if status.is_server else _BUILTIN_COLUMNS)
    heading = Text(fit("replica", _FIRST_CELLS), styles.muted, no_wrap=True, end="")
    for name, cells, _ in columns:
        heading.append(fit(name, cells, "right"))
    return [heading, *(_replica_line(one, columns, styles) for one in status.replicas)]


def _columns_in(width: int, columns: tuple[_Column, ...]) -> tuple[_Column, ...]:
    """Return the first columns that fit a width, whole ones only."""
    used, count = _FIRST_CELLS, 0
    for _, cells, _ in columns:
        used += cells
        if used > width:
            break
        count += 1
    return columns[:count]


def _replica_line(replica: ReplicaStatus, columns: tuple[_Column, ...], styles: Styles) -> Text:
    line = Text(no_wrap=True, end="")
    line.append(fit(f"R{replica.replica}", 5), styles.replica(replica.replica))
    if replica.draining:
        word, style = f"{ROLE_PLANNED} drains", styles.warning
    elif replica.ready:
        word, style = f"{OK} ready", styles.good
    else:
        word, style = f"{TROUBLE} waiting", styles.warning
    line.append(fit(word, _FIRST_CELLS - 5), style)
    for _, cells, text in columns:
        line.append(fit(text(replica), cells, "right"), styles.plain)
    return line


def server_lines(status: DeploymentStatus, styles: Styles) -> list[Text]:
    """Draw where each server is that is not ready: 'R0 gpu-a  loading weights 43% · 12 s'."""
    by_replica: dict[tuple[int, str], RankStatus] = {}
    for rank in status.ranks:
        by_replica.setdefault((rank.replica, rank.node_name), rank)
    servers = [(one, by_replica[one.replica, one.node_name]) for one in servers_of(status)]
    waiting = [(one, rank) for one, rank in servers if rank.state is not RankState.READY]
    names = max((len(one.text) for one, _ in waiting), default=0)
    return [_server_line(one, rank, names, styles) for one, rank in waiting]


def _server_line(server: ServerName, rank: RankStatus, names: int, styles: Styles) -> Text:
    line = Text(no_wrap=True, end="")
    line.append(fit(server.text, names + 2), styles.replica(server.replica))
    if rank.state is RankState.FAILED:
        line.append(f"{CROSS} failed ", styles.bad)
        return line.append(rank.reason, styles.muted)
    line.append(f"{ROLE_PLANNED} {rank.reason or rank.state}", styles.accent)
    if rank.progress is not None:
        done = round(max(0.0, min(1.0, rank.progress)) * _BAR_CELLS)
        line.append(" ").append(USED * done, styles.accent).append(FREE * (_BAR_CELLS - done), styles.free)
        line.append(f" {rank.progress:.0%}", styles.plain)
    return line.append(f" {DOT} {age(rank.age_s)}", styles.muted)


def last_log_lines(status: DeploymentStatus, styles: Styles) -> list[Text]:
    """Draw the last lines of replicas that failed and do not serve now, oldest first."""
    lines = []
    for replica in status.replicas:
        if replica.last_log and not replica.ready:
            heading = f"last lines of R{replica.replica} (l shows its log)"
            lines.append(Text(heading, styles.muted, no_wrap=True, end=""))
            lines.extend(Text(line, styles.plain, no_wrap=True, end="") for line in replica.last_log)
    return lines


def shortened(lines: list[Text], room: int) -> list[Text]:
    """Return the heading and as many of the last lines as there is room for; nothing below two lines."""
    return lines if len(lines) <= room else [] if room < 2 else [lines[0], *lines[len(lines) - room + 1 :]]

"""A deployment as text: state, predicted and measured figures, replicas and ranks. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from cluster.deploy.spec import FULL_SIZE
from cluster.deploy.status import (
    SERVING,
    DeploymentState,
    DeploymentStatus,
    RankState,
    ReplicaStatus,
)
from cluster.units import NOT_AVAILABLE
from tui.format import age, fit, gib, rate
from tui.glyphs import CROSS, OK, ROLE_PLANNED, TROUBLE
from tui.styles import Styles
from tui.widgets.rank_text import ROW_WIDTH, rank_cells, rank_rows

_STATE_STYLE = {
    DeploymentState.STARTING: "accent",
    DeploymentState.READY: "good",
    DeploymentState.DEGRADED: "warning",
    DeploymentState.STOPPING: "warning",
    DeploymentState.STOPPED: "muted",
    DeploymentState.FAILED: "bad",
}

_RATE_WORDS = {
    False: (("measured", "predicted, full load"), ("measured", "predicted")),
    True: (
        ("measured, scaled model", "predicted, full load"),
        ("measured, scaled model", "predicted"),
        ("measured, scaled", "predicted"),
    ),
}
"""Labels of the rates, of a full-size and of a scaled model; the longest that fits is used."""


def deployment_lines(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, styles: Styles, room: int = 1000
) -> list[Text]:
    """Draw one deployment, with as much of its ranks as fits into `room` lines.

    `used_bytes` is what NVML reads, by uuid of the GPU.
    """
    lines = [title_line(status, styles), *_remarks(status, styles)]
    if status.replicas or status.predicted_tokens_per_s is not None:
        lines.extend(measured_lines(status, used_bytes, width, styles))
    parts = [lines, _replica_lines(status, width, styles)]
    forms = _rank_forms(status, width, styles)
    for ranks, gap in ((forms[0], 1), *((form, 0) for form in forms)):
        shown = [part for part in (*parts, ranks) if part]
        if sum(map(len, shown)) + gap * (len(shown) - 1) <= room:
            break
    drawn = list(shown[0])
    for part in shown[1:]:
        drawn.extend([Text("", end="")] * gap + part)
    return drawn


def _rank_forms(status: DeploymentStatus, width: int, styles: Styles) -> list[list[Text]]:
    """Return the forms of the ranks, the fullest first; the last is empty when all are ready."""
    if not status.ranks:
        return [[]]
    rows = [rank_rows(status, styles)] if width >= ROW_WIDTH else []
    all_ready = all(rank.state is RankState.READY for rank in status.ranks)
    cells = rank_cells(status, width, styles)
    return [*rows, *([cells] if rows or not all_ready else []), *([[]] if all_ready else [])]


def _replica_lines(status: DeploymentStatus, width: int, styles: Styles) -> list[Text]:
    if not any(replica.ready for replica in status.replicas):
        return []
    columns = _replica_columns(width)
    return [
        _replica_heading(columns, styles),
        *(replica_line(one, columns, styles) for one in status.replicas),
    ]


def title_line(status: DeploymentStatus, styles: Styles) -> Text:
    """Draw name, layout, state and age: 'llama · TP=4, DP=2 · ready · 2 min'."""
    style = getattr(styles, _STATE_STYLE[status.state])
    sign = {DeploymentState.READY: OK, DeploymentState.FAILED: CROSS}.get(status.state, ROLE_PLANNED)
    line = Text(no_wrap=True, end="")
    line.append(f"{sign} {status.state}", style).append(f" {age(status.age_s)}  ", styles.muted)
    line.append(status.name, styles.strong).append(f"  {status.label}  {status.model}", styles.muted)
    return line


def _remarks(status: DeploymentStatus, styles: Styles) -> list[Text]:
    lines = []
    if status.reason:
        bad = status.state in (DeploymentState.FAILED, DeploymentState.DEGRADED)
        lines.append(Text(status.reason, styles.bad if bad else styles.muted, end=""))
    if status.endpoint:
        verb = "serves" if status.state in SERVING else "will serve"
        lines.append(Text(f"{verb} {status.endpoint}", styles.muted, end=""))
    if status.simulated:
        line = Text("SIMULATED ", styles.warning, end="")
        line.append(status.scale or "on the CPU", styles.muted)
        lines.append(line)
    if status.engine is not None:
        lines.append(_what_runs(status, styles))
    lines.extend(Text(f"note: {remark}", styles.muted, end="") for remark in status.remarks)
    return lines


def _what_runs(status: DeploymentStatus, styles: Styles) -> Text:
    """Draw which engine runs, which one was planned for, and whether weights are dummies."""
    assert status.engine is not None
    dummy = "DUMMY WEIGHTS " if status.weights == "dummy" else ""
    line = Text(dummy, styles.warning, no_wrap=True, end="")
    return line.append(f"engine {status.engine.text}", styles.muted)


def _rate_line(status: DeploymentStatus, measured: str, after: str, predicted: str, styles: Styles) -> Text:
    line = Text(f"{'rate':<9}", styles.muted, no_wrap=True, end="")
    line.append(fit(measured, 12, "right"), styles.strong).append(f" {after}", styles.muted)
    if status.predicted_tokens_per_s is not None:
        band = status.predicted_tokens_per_s
        line.append(f"   {rate(band.value)} ({rate(band.low)}–{rate(band.high)})", styles.plain)
        line.append(f" {predicted}", styles.muted)
    return line


def measured_lines(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, styles: Styles
) -> list[Text]:
    """Draw predicted and measured figures side by side: rate, and memory of the fullest GPU."""
    scaled = status.simulated and status.scale not in (None, FULL_SIZE)
    serves = any(replica.ready for replica in status.replicas)
    measured = f"{rate(status.tokens_per_s)} tok/s" if serves else NOT_AVAILABLE
    forms = (_rate_line(status, measured, *words, styles) for words in _RATE_WORDS[scaled])
    rates = next((line for line in forms if line.cell_len <= width), None)
    if rates is None:
        rates = _rate_line(status, measured, *_RATE_WORDS[False][-1], styles)
    lines = [rates]
    pairs = [
        (used_bytes[uuid], planned)
        for uuid, planned in status.planned_bytes_by_gpu.items()
        if uuid in used_bytes
    ]
    if pairs:
        used, planned = max(pairs)
        memory = Text(f"{'memory':<9}", styles.muted, no_wrap=True, end="")
        memory.append(fit(f"{gib(used)} GiB", 12, "right"), styles.strong)
        source = "simulated" if status.simulated else "measured"
        memory.append(f" {source}, fullest GPU   ", styles.muted)
        memory.append(f"{gib(planned)} GiB", styles.plain).append(" predicted", styles.muted)
        lines.append(memory)
    return lines


_REPLICA_CELLS = 14
_REPLICA_COLUMNS = (
    ("requests", 10),
    ("in flight", 11),
    ("tok/s", 8),
    ("all-reduces/token", 19),
    ("% of time", 12),
    ("restarts", 10),
)


def _replica_columns(width: int) -> dict[str, int]:
    """Return the columns that fit a width, whole ones only."""
    columns, used = {}, _REPLICA_CELLS
    for name, cells in _REPLICA_COLUMNS:
        used += cells
        if used > width:
            break
        columns[name] = cells
    return columns


def _replica_heading(columns: Mapping[str, int], styles: Styles) -> Text:
    line = Text(fit("replica", _REPLICA_CELLS), styles.muted, no_wrap=True, end="")
    for name, cells in columns.items():
        line.append(fit(name, cells, "right"))
    return line


def replica_line(replica: ReplicaStatus, columns: Mapping[str, int], styles: Styles) -> Text:
    """Draw a replica: requests, rate, all-reduces per token and their share of the time."""
    line = Text(no_wrap=True, end="")
    line.append(fit(f"R{replica.replica}", 5), styles.replica(replica.replica))
    word, style = (f"{OK} ready", styles.good) if replica.ready else (f"{TROUBLE} waiting", styles.warning)
    line.append(fit(word, _REPLICA_CELLS - 5), style)
    count, share = replica.all_reduces_per_token, replica.all_reduce_share
    cells = (
        f"{replica.requests_total:,}",
        f"{replica.in_flight:,}",
        rate(replica.tokens_per_s),
        NOT_AVAILABLE if count is None else f"{count:,.0f}",
        NOT_AVAILABLE if share is None else f"{share:.0%}",
        f"{replica.restarts:,}",
    )
    for text, size in zip(cells, columns.values(), strict=False):
        line.append(fit(text, size, "right"), styles.plain)
    return line

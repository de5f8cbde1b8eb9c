"""A deployment as text: state, predicted and measured figures, replicas and ranks. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from cluster.deploy.status import SERVING, DeploymentState, DeploymentStatus, RankState
from tui.format import age
from tui.glyphs import CROSS, OK, ROLE_PLANNED
from tui.styles import Styles
from tui.widgets.measured_text import measured_forms
from tui.widgets.rank_text import ROW_WIDTH, rank_cells, rank_rows
from tui.widgets.replica_rows import last_log_lines, replica_lines, server_lines, shortened

_STATE_STYLE = {
    DeploymentState.STARTING: "accent",
    DeploymentState.READY: "good",
    DeploymentState.DEGRADED: "warning",
    DeploymentState.STOPPING: "warning",
    DeploymentState.STOPPED: "muted",
    DeploymentState.FAILED: "bad",
}


def deployment_lines(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, styles: Styles, room: int = 1000
) -> list[Text]:
    """Draw one deployment, with as much of its figures, log and ranks as fits into `room` lines.

    `used_bytes` is what NVML reads, by uuid of the GPU.
    """
    head, replicas = (
        [title_line(status, styles), *_remarks(status, styles)],
        replica_lines(status, width, styles),
    )
    forms, ranks = _figure_forms(status, used_bytes, width, styles), _rank_forms(status, width, styles)
    least = len(head) + len(forms[-1]) + len(replicas) + len(ranks[-1])
    log = shortened(last_log_lines(status, styles), room - least)
    for figures in forms:
        # Two lines of figures belong to the head; a table stands by itself.
        first = [head + figures] if figures is forms[-1] else [head, figures]
        for rank_lines, gap in ((ranks[0], 1), *((form, 0) for form in ranks)):
            shown = [part for part in (*first, log, replicas, rank_lines) if part]
            if sum(map(len, shown)) + gap * (len(shown) - 1) <= room:
                return _joined(shown, gap)
    return _joined(shown, gap)


def _joined(parts: list[list[Text]], gap: int) -> list[Text]:
    drawn = list(parts[0])
    for part in parts[1:]:
        drawn.extend([Text("", end="")] * gap + part)
    return drawn


def _figure_forms(
    status: DeploymentStatus, used_bytes: Mapping[str, int], width: int, styles: Styles
) -> list[list[Text]]:
    failed = status.is_server and status.state is DeploymentState.FAILED
    if failed or (not status.replicas and status.predicted_tokens_per_s is None):
        return [[]]
    return measured_forms(status, used_bytes, width, styles)


def _rank_forms(status: DeploymentStatus, width: int, styles: Styles) -> list[list[Text]]:
    """Return the forms of the ranks, the fullest first; the last is empty when all are ready."""
    if not status.ranks:
        return [[]]
    rows = [rank_rows(status, styles)] if width >= ROW_WIDTH else []
    if all(rank.state is RankState.READY for rank in status.ranks):
        return [*rows, *([rank_cells(status, width, styles)] if rows else []), []]
    if status.is_server:
        # One line says where a server is, and its ranks with it; a failure stands in the head as well.
        servers = server_lines(status, styles)
        return [servers, []] if status.state is DeploymentState.FAILED else [servers]
    return [*rows, rank_cells(status, width, styles)]


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
    if status.scaling is not None and status.scaling.failure_note:
        lines.append(Text(status.scaling.failure_note, styles.warning, end=""))
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

"""The ranks of a deployment: one per line with its memory, or side by side to save lines."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from cluster.deploy.status import DeploymentStatus, RankState, RankStatus
from cluster.planner.layout import Layout
from tui.format import age, fit, gib, role_name
from tui.glyphs import CROSS, DOT, FREE, OK, ROLE_PLANNED, USED
from tui.styles import Styles

_BAR_CELLS = 8
_CELL_WIDTH = 38
ROW_WIDTH = 100
_COLUMNS = (("rank", 10), ("GPU", 24), ("state", 38), ("GiB used", 9), ("planned", 9))


def rank_rows(status: DeploymentStatus, styles: Styles) -> list[Text]:
    """Draw all ranks, one per line below a heading; a line takes ROW_WIDTH cells."""
    widths = dict(_COLUMNS)
    # The rest of the line is for what a rank waits for.
    widths["GPU"] = min(widths["GPU"], 2 + max(len(_gpu(rank)) for rank in status.ranks))
    return [
        _heading(widths, styles),
        *(_rank_row(rank, status, widths, styles) for rank in status.ranks),
    ]


def _gpu(rank: RankStatus) -> str:
    return f"{rank.node_name} GPU {rank.gpu_index}"


def rank_cells(status: DeploymentStatus, width: int, styles: Styles) -> list[Text]:
    """Draw all ranks side by side."""
    cells = [_rank_cell(rank, status.layout, styles) for rank in status.ranks]
    per_line = max(1, width // _CELL_WIDTH)
    return [_joined(cells[start : start + per_line]) for start in range(0, len(cells), per_line)]


def _heading(widths: Mapping[str, int], styles: Styles) -> Text:
    line = Text("", styles.muted, no_wrap=True, end="")
    for name, cells in widths.items():
        line.append(fit(name, cells, "right" if name in ("GiB used", "planned") else "left"), styles.muted)
    return line


def _joined(cells: list[Text]) -> Text:
    line = Text(no_wrap=True, end="")
    for cell in cells:
        cell.truncate(_CELL_WIDTH - 1, overflow="ellipsis", pad=True)
        cell.append(" ")
        line.append_text(cell)
    return line


def _rank_cell(rank: RankStatus, layout: Layout | None, styles: Styles) -> Text:
    """Draw a rank in few cells: 'R0·T2 loading 62% 3 s'."""
    cell = Text(no_wrap=True, end="")
    name = role_name(rank.replica, rank.stage, rank.rank, layout)
    width = 6 if layout is not None and layout.pp == 1 else 9
    cell.append(fit(name, width), styles.replica(rank.replica)).append(" ")
    return cell.append_text(_state_text(rank, styles, brief=True))


def _rank_row(rank: RankStatus, status: DeploymentStatus, widths: Mapping[str, int], styles: Styles) -> Text:
    """Draw a rank with its GPU, state and memory, used and planned."""
    row = Text(no_wrap=True, end="")
    name = role_name(rank.replica, rank.stage, rank.rank, status.layout)
    row.append(fit(name, widths["rank"]), styles.replica(rank.replica))
    row.append(fit(_gpu(rank), widths["GPU"]), styles.muted)
    state = _state_text(rank, styles)
    state.truncate(widths["state"] - 1, overflow="ellipsis", pad=True)
    row.append_text(state).append(" ")
    held = gib(rank.memory_used_bytes, 2 if status.simulated else 1)
    row.append(fit(held, widths["GiB used"], "right"), styles.plain)
    planned = gib(status.planned_bytes_by_gpu.get(rank.gpu_uuid))
    row.append(fit(planned, widths["planned"], "right"), styles.muted)
    if rank.reason and rank.state is not RankState.FAILED:
        row.append(f"  {rank.reason}", styles.muted)
    return row


def _state_text(rank: RankStatus, styles: Styles, brief: bool = False) -> Text:
    text = Text(no_wrap=True, end="")
    if rank.state is RankState.READY:
        return text.append(f"{OK} ready", styles.good).append(f" {age(rank.age_s)}", styles.muted)
    if rank.state is RankState.FAILED:
        return text.append(f"{CROSS} failed", styles.bad).append(f" {rank.reason}", styles.muted)
    text.append(f"{ROLE_PLANNED} {rank.state}", styles.accent)
    if rank.progress is not None and rank.state is RankState.LOADING:
        done = round(max(0.0, min(1.0, rank.progress)) * _BAR_CELLS)
        text.append(" ").append(USED * done, styles.accent).append(FREE * (_BAR_CELLS - done), styles.free)
        text.append(f" {rank.progress:.0%}", styles.plain)
    if brief or rank.deadline_s is None:
        return text.append(f" {DOT} {age(rank.age_s)}", styles.muted)
    return text.append(f" {DOT} {rank.age_s:.0f} of {rank.deadline_s:.0f} s", styles.muted)

"""A node's headline, and a whole node on one line for large clusters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from cluster.inventory import Node
from cluster.units import count_of
from tui.format import age, fit, percent, temperature
from tui.glyphs import CROSS, CURSOR, DEGRADED, DOT, OK, STALE, TROUBLE
from tui.health_marks import Mark, mark_of, node_marks
from tui.roles import Role
from tui.scene import GpuView, NodeHealth, Scene
from tui.styles import Styles
from tui.widgets.map_grid import Grid, Spot, replicas_cells, role_cells
from tui.widgets.memory_bar import memory_bar, role_text


def node_heading(node: Node, scene: Scene, width: int, styles: Styles, chosen: bool = False) -> Text:
    """Draw a node's name, what is wrong with its GPUs, what they are, and how fresh its readings are."""
    health = health_text(scene.health(node), styles)
    room = max(0, width - cell_len(health.plain) - 1)
    left = Text(no_wrap=True, end="").append(CURSOR if chosen else " ", styles.accent)
    left.append(node.name, styles.strong)
    marks = marks_text(marks_on(node, scene), styles)
    left.append("  " if marks.plain else "").append_text(marks)
    counts = count_mismatch(node)
    left.append(f"  {DEGRADED} {counts}" if counts else "", styles.warning)
    left.append(f"  {describe_gpus(node)}", styles.muted)
    left.truncate(room, overflow="ellipsis", pad=True)
    left.append_text(health)
    if chosen:
        left.stylize(styles.cursor)
    return left


def marks_on(node: Node, scene: Scene) -> tuple[Mark, ...]:
    """Summarize what is wrong with a node's GPUs; of a node that is dead, that is enough."""
    if node.left is not None:
        return ()
    return node_marks((gpu.index, mark_of(gpu, scene.reading(node, gpu))) for gpu in node.gpus)


def marks_text(marks: Sequence[Mark], styles: Styles, words: bool = True) -> Text:
    """Draw marks side by side: '! 1 unhealthy  ▲ GPU 3 hot'; without words '! ▲'."""
    text = Text(no_wrap=True, end="")
    for mark in marks:
        text.append("  " if words and text.plain else "")
        text.append(f"{mark.sign} {mark.word}" if words else mark.sign, styles.of_mark(mark.state))
    return text


def count_mismatch(node: Node) -> str:
    """Say that Ray counts other GPUs than were read on a node; '' where they agree."""
    if node.ray_gpus is None or node.ray_gpus == len(node.gpus) or node.left is not None:
        return ""
    return f"Ray counts {node.ray_gpus}, {len(node.gpus)} read"


def node_row(
    node: Node, scene: Scene, grid: Grid, gpus: range, width: int, styles: Styles, here: Spot | None = None
) -> Text:
    """Draw a node and its GPUs numbered `gpus` on one line; `here` is the cursor, if it is on this node."""
    is_first = not gpus or gpus.start == 0
    on_node = here is not None and here.gpu is None and is_first
    line = Text(no_wrap=True, end="").append(CURSOR if on_node else " ", styles.accent)
    name_style = styles.plain + styles.cursor if here is not None else styles.plain
    line.append(fit(node.name if is_first else "", grid.name), name_style if is_first else styles.plain)
    chosen = here.gpu - gpus.start if here is not None and here.gpu is not None and here.gpu in gpus else None
    views = [scene.gpu_view(node, node.gpus[number]) for number in gpus]
    line.append_text(_gpu_cells(views, grid, styles, chosen))
    if is_first:
        _append_state(line, node, scene, width, styles)
    return line


def _append_state(line: Text, node: Node, scene: Scene, width: int, styles: Styles) -> None:
    """Append the replicas on a node, what is wrong with its GPUs, and how fresh its readings are."""
    # The column stays where any layout is drawn, so that the ends of all nodes stand in line.
    if scene.planned or scene.live:
        line.append(fit(_replicas_on(node, scene), replicas_cells(width) - 1), styles.muted).append(" ")
    state, marks = health_text(scene.health(node), styles), marks_on(node, scene)
    room = width - cell_len(line.plain)
    text = marks_text(marks, styles)
    if cell_len(text.plain) + cell_len(state.plain) + 2 > room:
        text = marks_text(marks, styles, words=False)
    # The state stands at the edge, the marks to the left of it.
    gap = room - cell_len(text.plain) - cell_len(state.plain)
    line.append(" " * max(0, gap - 1)).append_text(text).append(" ").append_text(state)


def strip_line(
    views: Sequence[GpuView], row: int, grid: Grid, styles: Styles, chosen: int | None = None
) -> Text:
    """Draw GPUs side by side: row 0 their memory, row 1 what is wrong with them and their roles."""
    line, each = Text(no_wrap=True, end=""), grid.cell - 1
    for number, view in enumerate(views):
        line.append(CURSOR if number == chosen else " ", styles.accent)
        start = len(line)
        if row == 0:
            is_bad = view.trouble is not None
            line.append_text(
                Text(fit(TROUBLE, each), styles.bad) if is_bad else memory_bar(view, each, styles)
            )
        else:
            line.append_text(_strip_name(view, each, styles))
        if number == chosen:
            line.stylize(styles.cursor, start)
    return line


def _strip_name(view: GpuView, width: int, styles: Styles) -> Text:
    """Draw the sign of a GPU's health and, as far as there is room, its role or else its number."""
    name = Text(end="", no_wrap=True).append(view.mark.sign, styles.of_mark(view.mark.state))
    room = width - len(name)
    style = styles.replica(view.role.replica) if view.role else styles.faint
    name.append(_short_role(view.role, room) if view.role else fit(str(view.gpu.index), room), style)
    if view.mark.word and width - cell_len(name.plain.rstrip()) > len(view.mark.word):
        name.rstrip()
        name.append(f" {view.mark.word}", styles.of_mark(view.mark.state))
    name.truncate(width, pad=True)
    return name


def _short_role(role: Role, width: int) -> str:
    """Name a role within a few cells: 'R0·T2', else its replica 'R0', else the last digit of that."""
    replica = f"R{role.replica}"
    whole = role.name if len(role.name) <= width else replica
    return fit(whole if len(whole) <= width else str(role.replica % 10), width)


def _replicas_on(node: Node, scene: Scene) -> str:
    """Name the replicas on a node: 'R3' or 'R4–R7'."""
    roles = [scene.live.get(gpu.uuid) or scene.planned.get(gpu.uuid) for gpu in node.gpus]
    numbers = sorted({role.replica for role in roles if role is not None})
    if not numbers:
        return ""
    return f"R{numbers[0]}" if len(numbers) == 1 else f"R{numbers[0]}–R{numbers[-1]}"


def _gpu_cells(views: Sequence[GpuView], grid: Grid, styles: Styles, chosen: int | None) -> Text:
    cells = Text(no_wrap=True, end="")
    names, each = role_cells(grid), grid.cell - 1
    for number, view in enumerate(views):
        cells.append(CURSOR if number == chosen else " ", styles.accent)
        start = len(cells)
        cells.append_text(_gpu_cell(view, each - names, names, styles))
        if number == chosen:
            cells.stylize(styles.cursor, start)
    cells.append(" " * ((grid.per_row - len(views)) * grid.cell + 1))
    return cells


def _gpu_cell(view: GpuView, bar: int, names: int, styles: Styles) -> Text:
    if view.trouble:
        return Text(fit(TROUBLE, bar + names), styles.bad)
    cell = Text(no_wrap=True, end="").append(view.mark.sign, styles.of_mark(view.mark.state))
    cell.append_text(memory_bar(view, bar - len(cell), styles))
    if names:
        style = styles.replica(view.role.replica) if view.role else styles.faint
        cell.append(fit(f" {view.role.name if view.role else ''}", names), style)
    return cell


def health_text(health: NodeHealth, styles: Styles) -> Text:
    """Draw the state of a node's readings: a symbol, a word unless all is well, and the age."""
    ago = "" if health.age_s is None else age(health.age_s)
    if not health.word:
        return Text(f"{OK} {ago} ", styles.good if ago else styles.faint, end="") if ago else Text("", end="")
    sign, style = (STALE, styles.warning) if health.word == "stale" else (TROUBLE, styles.bad)
    reason = f" {DOT} {health.reason}" if health.reason else ""
    return Text(f"{sign} {health.word}{f' {ago}' if ago else ''}{reason} ", style, end="")


def describe_gpus(node: Node) -> str:
    """Describe a node's GPUs and how they are connected: '4 × A100-80GB, NVLink'."""
    if not node.gpus:
        return node.error or "no GPUs"
    counts = Counter(gpu.type for gpu in node.gpus)
    kinds = ", ".join(f"{count} {CROSS} {name}" for name, count in counts.items())
    islands = Counter(gpu.nvlink_island for gpu in node.gpus if gpu.nvlink_island)
    if not islands:
        return kinds
    whole = len(islands) == 1 and sum(islands.values()) == len(node.gpus)
    return f"{kinds}  NVLink" if whole else f"{kinds}  {count_of(len(islands), 'NVLink island')}"


def spot_text(scene: Scene, spot: Spot, styles: Styles) -> Text:
    """Describe what is under the cursor on one line: its name, its health and its figures."""
    node = scene.cluster.nodes[spot.node]
    text = Text(node.name, styles.strong, no_wrap=True, end="")
    if spot.gpu is None or spot.gpu >= len(node.gpus):
        marks = marks_text(marks_on(node, scene), styles)
        text.append("  ").append_text(health_text(scene.health(node), styles)).append(" ").append_text(marks)
        return text.append("  X takes it off the map" if node.left is not None else "", styles.muted)
    view = scene.gpu_view(node, node.gpus[spot.gpu])
    text.append(f" GPU {view.gpu.index}", styles.strong).append("  ")
    if view.mark.text:
        sign = f"{view.mark.sign} {view.mark.state}: {view.mark.text}  "
        text.append(sign, styles.of_mark(view.mark.state))
    figures = f"{percent(view.utilization_percent)} {temperature(view.temperature_c)}  "
    return text.append(figures, styles.muted).append_text(role_text(view.role, styles))

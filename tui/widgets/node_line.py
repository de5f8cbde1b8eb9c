"""A node's headline, and a whole node on one line for large clusters."""

from __future__ import annotations

from collections import Counter

from rich.cells import cell_len
from rich.text import Text

from cluster.inventory import Node
from tui.format import age, fit
from tui.glyphs import CROSS, DOT, OK, STALE, TROUBLE
from tui.scene import NodeHealth, Scene
from tui.styles import Styles
from tui.widgets.memory_bar import memory_bar


def node_heading(node: Node, scene: Scene, width: int, styles: Styles) -> Text:
    """Draw a node's name, its GPUs, and how fresh its readings are."""
    health = health_text(scene.health(node), styles)
    room = max(0, width - cell_len(health.plain) - 1)
    left = Text(" ", no_wrap=True, end="")
    left.append(node.name, styles.strong)
    left.append(f"  {describe_gpus(node)}", styles.muted)
    left.truncate(room, overflow="ellipsis", pad=True)
    left.append_text(health)
    return left


def node_row(node: Node, scene: Scene, width: int, styles: Styles) -> Text:
    """Draw a node and all its GPUs on one line."""
    health = health_text(scene.health(node), styles)
    name_width = min(24, max(8, width // 5))
    room = width - name_width - 2 - cell_len(health.plain) - 1
    line = Text(" ", no_wrap=True, end="")
    line.append(fit(node.name, name_width), styles.plain).append(" ")
    replicas = _replicas_on(node, scene)
    # The column stays where any layout is drawn, so that the bars of all nodes stand in line.
    parts = fit(replicas, 9) if room >= 30 and (scene.planned or scene.live) else ""
    line.append_text(_gpu_cells(node, scene, room - len(parts) - 1, styles))
    line.append(f" {parts}", styles.muted).append(" ").append_text(health)
    return line


def strip_line(node: Node, scene: Scene, row: int, width: int, styles: Styles) -> Text:
    """Draw a node's GPUs side by side: row 1 their memory, row 2 their roles in the layout."""
    line = Text(" ", no_wrap=True, end="")
    each = max(2, min(24, (width - 1) // max(1, len(node.gpus)))) - 1
    for gpu in node.gpus:
        view = scene.gpu_view(node, gpu)
        if row == 1:
            trouble = view.trouble is not None
            line.append_text(
                Text(fit(TROUBLE, each), styles.bad) if trouble else memory_bar(view, each, styles)
            )
        else:
            name = view.role.name if view.role else str(gpu.index)
            line.append(fit(name, each), styles.replica(view.role.replica) if view.role else styles.faint)
        line.append(" ")
    return line


def _replicas_on(node: Node, scene: Scene) -> str:
    """Name the replicas on a node: 'R3' or 'R4–R7'."""
    roles = [scene.live.get(gpu.uuid) or scene.planned.get(gpu.uuid) for gpu in node.gpus]
    numbers = sorted({role.replica for role in roles if role is not None})
    if not numbers:
        return ""
    return f"R{numbers[0]}" if len(numbers) == 1 else f"R{numbers[0]}–R{numbers[-1]}"


def _gpu_cells(node: Node, scene: Scene, room: int, styles: Styles) -> Text:
    cells = Text(no_wrap=True, end="")
    names = 8 if room >= 12 * len(node.gpus) else 0
    each = max(2, min(14 + names, room // max(1, len(node.gpus)))) - 1
    for gpu in node.gpus:
        view = scene.gpu_view(node, gpu)
        if view.trouble:
            cells.append(fit(TROUBLE, each), styles.bad).append(" ")
            continue
        cells.append_text(memory_bar(view, max(1, each - names), styles))
        if names:
            name = view.role.name if view.role else ""
            style = styles.replica(view.role.replica) if view.role else styles.faint
            cells.append(fit(f" {name}", names), style)
        cells.append(" ")
    cells.truncate(max(0, room), overflow="ellipsis", pad=True)
    return cells


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
    return f"{kinds}  NVLink" if whole else f"{kinds}  {len(islands)} NVLink islands"

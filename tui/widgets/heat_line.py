"""Many nodes on one line, one character per GPU, for clusters too large for any other view.

A digit is the last digit of the replica planned there; it is reversed where the replica runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import itemgetter

from rich.style import Style
from rich.text import Span, Text

from cluster.inventory import Gpu, Node
from cluster.telemetry import GpuReading
from tui.format import fit
from tui.glyphs import CURSOR, DEGRADED, DOT, FREE, STALE, TROUBLE, USED
from tui.health_marks import HEALTHY, mark_of
from tui.scene import Scene, used_bytes
from tui.styles import Styles
from tui.widgets.map_grid import Grid, Spot

_GAP = 2
_REVERSED = Style(reverse=True)
_IN_USE = 0.05
"""Share of the memory above which a GPU counts as used."""
HEAT_LEGEND = f"  0–9 replica  {DEGRADED} degraded  {TROUBLE} unhealthy"

_Run = tuple[str, Style | None]


def heat_line(
    nodes: Sequence[Node], scene: Scene, grid: Grid, line: int, styles: Styles, here: Spot | None = None
) -> Text:
    """Draw line `line` of some nodes side by side; `here` is the cursor, its node a number among these."""
    runs: list[_Run] = []
    for number, node in enumerate(nodes):
        at = here if here is not None and here.node == number else None
        first, readings = line * grid.per_row, scene.readings_on(node)
        gpus = node.gpus[first : first + grid.per_row]
        signs = [_gpu_sign(scene, gpu, readings.get(gpu.uuid), styles) for gpu in gpus]
        gap = CURSOR if at is not None and at.gpu is None and line == 0 else " "
        runs.append((gap, styles.accent if at is not None else None))
        if line:
            runs.append((" " * (grid.name + 2), None))
        else:
            rest = [
                _gpu_sign(scene, gpu, readings.get(gpu.uuid), styles) for gpu in node.gpus[grid.per_row :]
            ]
            runs += _name(node, scene, grid, [*signs, *rest], styles, at)
        if at is not None and at.gpu is not None and first <= at.gpu < first + len(signs):
            signs[at.gpu - first] = (signs[at.gpu - first][0], styles.cursor_cell)
        for alike_style, alike in groupby(signs, key=itemgetter(1)):
            runs.append(("".join(sign for sign, _ in alike), alike_style))
        runs.append((" " * (grid.per_row - len(signs) + _GAP - 1), None))
    return _line_of(runs)


def _name(
    node: Node, scene: Scene, grid: Grid, signs: Sequence[tuple[str, Style]], styles: Styles, at: Spot | None
) -> list[_Run]:
    sign, style = _node_sign(node, scene, {sign for sign, _ in signs}, styles)
    if at is not None:
        style = style + styles.cursor
    return [
        (f"{fit(node.name, grid.name)}{sign}", style),
        (CURSOR if at is not None and at.gpu is not None else " ", styles.accent if at is not None else None),
    ]


def _line_of(runs: Iterable[_Run]) -> Text:
    """Join runs of cells. One key press draws thousands, for which Text.append is too slow."""
    texts, spans, start = [], [], 0
    for text, style in runs:
        texts.append(text)
        if style is not None:
            spans.append(Span(start, start + len(text), style))
        start += len(text)
    return Text("".join(texts), no_wrap=True, end="", spans=spans)


def _node_sign(node: Node, scene: Scene, signs: set[str], styles: Styles) -> tuple[str, Style]:
    """Return the worst of a node and its GPUs: dead or silent, unhealthy, stale, degraded."""
    health = scene.health(node)
    if health.word and health.word != "stale":
        return TROUBLE, styles.bad
    if TROUBLE in signs:
        return TROUBLE, styles.bad
    if health.word:
        return STALE, styles.warning
    return (DEGRADED, styles.warning) if DEGRADED in signs else (" ", styles.muted)


def _gpu_sign(scene: Scene, gpu: Gpu, reading: GpuReading | None, styles: Styles) -> tuple[str, Style]:
    mark = mark_of(gpu, reading)
    if mark is not HEALTHY:
        return mark.sign, styles.of_mark(mark.state)
    role = scene.role(gpu)
    if role is not None:
        style = styles.replica(role.replica)
        return str(role.replica % 10), style + _REVERSED if role.live else style
    total = (reading.memory_total_bytes if reading is not None else None) or gpu.memory_total_bytes
    used = used_bytes(gpu, reading, total)
    if not total or used is None:
        return DOT, styles.faint
    return (USED, styles.used) if used > _IN_USE * total else (FREE, styles.free)

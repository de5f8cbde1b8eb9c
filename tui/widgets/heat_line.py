"""Many nodes on one line, one character per GPU, for clusters too large for any other view.

A digit is the last digit of the replica planned there; it is reversed where the replica runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich.style import Style
from rich.text import Span, Text

from cluster.inventory import Cluster, Gpu, Node
from tui.format import fit
from tui.glyphs import DOT, FREE, STALE, TROUBLE, USED
from tui.scene import NodeHealth, Scene, used_bytes
from tui.styles import Styles

_GAP = 2
_LONGEST_NAME = 12
_REVERSED = Style(reverse=True)
_IN_USE = 0.05
"""Share of the memory above which a GPU counts as used."""


@dataclass(frozen=True, slots=True)
class HeatColumns:
    """What the longest name and the largest node take, the same for every node of a cluster."""

    name: int
    gpus: int

    @property
    def cells(self) -> int:
        """The cells that a node takes, the gap after it included."""
        return self.name + 2 + self.gpus + _GAP


def heat_columns(cluster: Cluster) -> HeatColumns:
    """Measure all nodes of a cluster."""
    return HeatColumns(
        name=min(_LONGEST_NAME, max((len(node.name) for node in cluster.nodes), default=1)),
        gpus=max((len(node.gpus) for node in cluster.nodes), default=0),
    )


def heat_line(nodes: Sequence[Node], scene: Scene, columns: HeatColumns, styles: Styles) -> Text:
    """Draw some nodes side by side."""
    runs: list[tuple[str, Style | None]] = [(" ", None)]
    for node in nodes:
        sign, style = _health_sign(scene.health(node), styles)
        runs += [(f"{fit(node.name, columns.name)}{sign}", style), (" ", None)]
        signs = [_gpu_sign(scene, node, gpu, styles) for gpu in node.gpus]
        for alike_style, alike in groupby(signs, key=itemgetter(1)):
            runs.append(("".join(sign for sign, _ in alike), alike_style))
        runs.append((" " * (columns.gpus - len(node.gpus) + _GAP), None))
    return _line_of(runs)


def _line_of(runs: Iterable[tuple[str, Style | None]]) -> Text:
    """Join runs of cells. One key press draws thousands, for which Text.append is too slow."""
    texts, spans, start = [], [], 0
    for text, style in runs:
        texts.append(text)
        if style is not None:
            spans.append(Span(start, start + len(text), style))
        start += len(text)
    return Text("".join(texts), no_wrap=True, end="", spans=spans)


def _health_sign(health: NodeHealth, styles: Styles) -> tuple[str, Style]:
    if not health.word:
        return " ", styles.muted
    return (STALE, styles.warning) if health.word == "stale" else (TROUBLE, styles.bad)


def _gpu_sign(scene: Scene, node: Node, gpu: Gpu, styles: Styles) -> tuple[str, Style]:
    reading = scene.reading(node, gpu)
    if gpu.unhealthy_reason or (reading is not None and reading.error):
        return TROUBLE, styles.bad
    role = scene.role(gpu)
    if role is not None:
        style = styles.replica(role.replica)
        return str(role.replica % 10), style + _REVERSED if role.live else style
    total = (reading.memory_total_bytes if reading is not None else None) or gpu.memory_total_bytes
    used = used_bytes(gpu, reading, total)
    if not total or used is None:
        return DOT, styles.faint
    return (USED, styles.used) if used > _IN_USE * total else (FREE, styles.free)

"""Many nodes on one line, one sign a GPU, for clusters that no other way of drawing shows at once.

A digit is the last one of the replica that is planned there; where it runs, the digit is reversed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from rich.style import Style
from rich.text import Text

from cluster.inventory import Cluster, Node
from tui.format import fit
from tui.glyphs import DOT, FREE, STALE, TROUBLE, USED
from tui.scene import GpuView, NodeHealth, Scene
from tui.styles import Styles

_GAP = 2
_LONGEST_NAME = 12
_IN_USE = 0.05
"""Part of the memory from which a GPU counts as used."""


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
    line = Text(" ", no_wrap=True, end="")
    for node in nodes:
        sign, style = _health_sign(scene.health(node), styles)
        line.append(fit(node.name, columns.name), style).append(sign, style).append(" ")
        signs = [_gpu_sign(scene.gpu_view(node, gpu), styles) for gpu in node.gpus]
        for style, alike in groupby(signs, key=itemgetter(1)):
            line.append("".join(sign for sign, _ in alike), style)
        line.append(" " * (columns.gpus - len(node.gpus) + _GAP))
    return line


def _health_sign(health: NodeHealth, styles: Styles) -> tuple[str, Style]:
    if not health.word:
        return " ", styles.muted
    return (STALE, styles.warning) if health.word == "stale" else (TROUBLE, styles.bad)


def _gpu_sign(view: GpuView, styles: Styles) -> tuple[str, Style]:
    if view.trouble:
        return TROUBLE, styles.bad
    if view.role is not None:
        style = styles.replica(view.role.replica)
        return str(view.role.replica % 10), style + Style(reverse=True) if view.role.live else style
    if not view.total_bytes or view.used_bytes is None:
        return DOT, styles.faint
    return (USED, styles.used) if view.used_bytes > _IN_USE * view.total_bytes else (FREE, styles.free)

"""The map of nodes and GPUs, from large tiles to one character per GPU: the largest that fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from rich.text import Text
from textual.geometry import Size

from cluster.inventory import Cluster, Node
from tui.scene import Scene
from tui.styles import Styles
from tui.widgets.gpu_row import gpu_row, legend, row_columns, row_heading
from tui.widgets.gpu_tile import LARGE_TILE_LINES, MAX_TILE_WIDTH, MIN_TILE_WIDTH, TILE_LINES, tile_line
from tui.widgets.heat_line import HeatColumns, heat_columns, heat_line
from tui.widgets.line_view import LineView
from tui.widgets.node_line import node_heading, node_row, strip_line

Density = Literal["large", "tiles", "rows", "strips", "nodes", "heat"]
DENSITIES: tuple[Density, ...] = ("large", "tiles", "rows", "strips", "nodes", "heat")
History = Callable[[str], tuple[float, ...]]
_TILE_GAP = 2
_NO_COLUMNS = HeatColumns(0, 0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where each node's lines begin at one width and density."""

    density: Density
    per_row: int
    tile_width: int
    starts: tuple[int, ...]
    num_lines: int
    heat: HeatColumns = _NO_COLUMNS


def make_grid(cluster: Cluster, density: Density, width: int) -> Grid:
    """Lay the nodes out."""
    if density == "heat":
        columns = heat_columns(cluster)
        per_line = max(1, (width - 1) // columns.cells)
        lines = -(-len(cluster.nodes) // per_line)
        return Grid(density, per_line, 0, tuple(range(lines)), lines, columns)
    widest = max((len(node.gpus) for node in cluster.nodes), default=1) or 1
    per_row = max(1, min(widest, (width - 1) // (MIN_TILE_WIDTH + _TILE_GAP)))
    while widest % per_row and per_row > (widest + 1) // 2:
        per_row -= 1
    tile_width = min(MAX_TILE_WIDTH, (width - 1) // per_row - _TILE_GAP)
    heights = [_node_lines(node, density, per_row) for node in cluster.nodes]
    ends = tuple(accumulate(heights, initial=0))
    return Grid(density, per_row, tile_width, ends[:-1], ends[-1])


def _node_lines(node: Node, density: Density, per_row: int) -> int:
    if density == "nodes":
        return 1
    if density == "rows":
        return 1 + len(node.gpus)
    if density == "strips":
        return 3
    return 1 + -(-len(node.gpus) // per_row) * (_tile_lines(density) + 1)


def _tile_lines(density: Density) -> int:
    return LARGE_TILE_LINES if density == "large" else TILE_LINES


class ClusterMap(LineView):
    """Nodes and GPUs. Give it a scene; it redraws what is visible."""

    def __init__(self, history: History, id: str | None = None) -> None:
        super().__init__(id=id)
        self._history = history
        self._scene: Scene | None = None
        self._grids: dict[tuple[Density, int], Grid] = {}
        self._chosen: dict[tuple[object, ...], Grid] = {}
        self._is_mixed: bool | None = None
        self.density: Density | None = None
        """None: chosen by the space there is."""
        self._room, self._room_for_large = 24, 24

    def set_max_lines(self, lines: int, lines_for_large: int) -> None:
        """Set how many lines the map may take, and how many with large tiles."""
        self._room, self._room_for_large = lines, lines_for_large

    def show(self, scene: Scene | None) -> None:
        """Show another scene."""
        old, self._scene = self._scene, scene
        if old is None or scene is None or scene.cluster is not old.cluster:
            self._grids.clear()
            self._chosen.clear()
            self._is_mixed = None
            self.refresh(layout=True)
        elif scene.readings or not scene.differs_only_in_time(old):
            # Without readings no age grows on the map.
            self.redraw()

    def reveal(self, text: str) -> bool:
        """Bring the first node whose name contains `text` to the top; False when there is none."""
        grid = self.grid(self.size.width)
        if grid is None or self._scene is None:
            return False
        for position, node in enumerate(self._scene.cluster.nodes):
            if text.lower() in node.name.lower():
                line = position // grid.per_row if grid.density == "heat" else grid.starts[position]
                self.top = line
                return True
        return False

    def next_density(self) -> None:
        """Switch to the next density; after the last one, back to automatic."""
        order: tuple[Density | None, ...] = (None, *DENSITIES)
        self.density = order[(order.index(self.density) + 1) % len(order)]
        self.top = 0
        self.refresh(layout=True)

    def grid(self, width: int) -> Grid | None:
        """Return the grid at a width: the largest that fits, else the densest."""
        if self._scene is None:
            return None
        # Asked for each line that is drawn.
        key = (width, self.density, self._room, self._room_for_large)
        if key not in self._chosen:
            self._chosen[key] = self._choose(width)
        return self._chosen[key]

    def _choose(self, width: int) -> Grid:
        choices: tuple[Density, ...] = (self.density,) if self.density else DENSITIES
        for density in choices:
            grid = self._grid(density, width)
            room = self._room_for_large if density == "large" else self._room
            if grid.num_lines + 1 <= room:
                return grid
        return self._grid(choices[-1], width)

    def _grid(self, density: Density, width: int) -> Grid:
        assert self._scene is not None
        key = (density, width)
        if key not in self._grids:
            self._grids[key] = make_grid(self._scene.cluster, density, width)
        return self._grids[key]

    def num_lines(self, width: int) -> int:
        grid = self.grid(width)
        return 0 if grid is None else grid.num_lines + 1

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return min(self.num_lines(width), self._room)

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        grid, scene = self.grid(width), self._scene
        assert grid is not None and scene is not None
        if index == self.top:
            return self._heading(grid, width, styles)
        line = index - 1
        if grid.density == "heat":
            first = line * grid.per_row
            return heat_line(scene.cluster.nodes[first : first + grid.per_row], scene, grid.heat, styles)
        position = bisect_right(grid.starts, line) - 1
        node = scene.cluster.nodes[position]
        return self._node_line(node, line - grid.starts[position], grid, width, styles)

    def _heading(self, grid: Grid, width: int, styles: Styles) -> Text:
        assert self._scene is not None
        if grid.density == "rows":
            heading = row_heading(row_columns(width, self._mixed), styles)
        else:
            heading = Text(" ", no_wrap=True, end="").append_text(legend(styles, width - 1))
        if grid.density == "heat":
            heading.append("  0–9 replica", styles.muted)
        nodes = self._scene.cluster.nodes
        if self.num_lines(width) > self.size.height:
            per_line = grid.per_row if grid.density == "heat" else 1
            first = (bisect_right(grid.starts, self.top) - 1) * per_line
            last = bisect_right(grid.starts, self.top + self.size.height - 2) * per_line - 1
            last = min(last, len(nodes) - 1)
            heading.append(f"  nodes {first + 1:,}–{last + 1:,} of {len(nodes):,}", styles.muted)
        return heading

    @property
    def _mixed(self) -> bool:
        """Some node has GPUs of different types."""
        if self._is_mixed is None and self._scene is not None:
            nodes = self._scene.cluster.nodes
            self._is_mixed = any(len({gpu.type for gpu in node.gpus}) > 1 for node in nodes)
        return bool(self._is_mixed)

    def _node_line(self, node: Node, line: int, grid: Grid, width: int, styles: Styles) -> Text:
        assert self._scene is not None
        if grid.density == "nodes":
            return node_row(node, self._scene, width, styles)
        if line == 0:
            return node_heading(node, self._scene, width, styles)
        if grid.density == "rows":
            view = self._scene.gpu_view(node, node.gpus[line - 1])
            return gpu_row(view, row_columns(width, self._mixed), styles)
        if grid.density == "strips":
            return strip_line(node, self._scene, line, width, styles)
        return self._tiles_line(node, line - 1, grid, styles)

    def _tiles_line(self, node: Node, line: int, grid: Grid, styles: Styles) -> Text:
        assert self._scene is not None
        lines = _tile_lines(grid.density)
        tile_row, inside = divmod(line, lines + 1)
        text = Text(" ", no_wrap=True, end="")
        if inside == lines:
            return text
        for gpu in node.gpus[tile_row * grid.per_row : (tile_row + 1) * grid.per_row]:
            view = self._scene.gpu_view(node, gpu)
            text.append_text(tile_line(view, inside, lines, grid.tile_width, self._history(gpu.uuid), styles))
            text.append(" " * _TILE_GAP)
        return text

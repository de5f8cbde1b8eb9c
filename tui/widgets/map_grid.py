"""Where the nodes and GPUs of the map stand: from a place to its line, from a cell to its place. Pure.

A node is a block of lines: a heading, where the density has one, then rows of GPUs. In the densest form
several blocks stand side by side.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from cluster.inventory import Cluster

Density = Literal["large", "tiles", "rows", "strips", "nodes", "heat"]
DENSITIES: tuple[Density, ...] = ("large", "tiles", "rows", "strips", "nodes", "heat")
Step = Literal["left", "right", "up", "down", "first", "last"]
TILE_LINES = 6
"""Four lines of text with a margin of color above and below."""
LARGE_TILE_LINES = 10
"""The same with air between and two lines of history."""
MIN_TILE_WIDTH = 26
MAX_TILE_WIDTH = 44
TILE_GAP = 2
STRIP_LINES = 2
_WIDEST_CELL = 25
_NARROWEST_CELL = 3
_ROLE_NAME = 8
"""Cells of the name of a role beside a GPU's bar."""
_LONGEST_NAME = 12
"""Of a node, in the densest form."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on the map by number: a node, or one of its GPUs."""

    node: int
    gpu: int | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """The geometry of the map at one width and density; lines and cells count from 0."""

    density: Density
    sizes: tuple[int, ...]
    """GPUs of each node."""
    cell: int
    """Cells that a GPU takes, the gap after it included."""
    per_row: int
    """GPUs side by side."""
    left: int
    """The cell at which a node's first GPU begins, within its block."""
    heading: int
    """Lines of a node before its GPUs."""
    row_lines: int
    """Lines of a row of GPUs."""
    starts: tuple[int, ...]
    """The first line of each row of blocks."""
    num_lines: int
    blocks: int = 1
    """Nodes side by side."""
    name: int = 0
    """Cells of a node's name, where it stands beside its GPUs."""

    @property
    def block_width(self) -> int:
        """Cells from one block to the next."""
        return self.left + self.per_row * self.cell + 1

    def nodes_at(self, line: int) -> tuple[range, int]:
        """Return the numbers of the nodes on a line, and which of their lines it is."""
        row = bisect_right(self.starts, line) - 1
        first = row * self.blocks
        return range(first, min(len(self.sizes), first + self.blocks)), line - self.starts[row]

    def gpus_at(self, node: int, line: int) -> tuple[range, int]:
        """Return the numbers of a node's GPUs on one of its lines, and which line of their row it is."""
        row, inside = divmod(line - self.heading, self.row_lines)
        return range(row * self.per_row, min(self.sizes[node], (row + 1) * self.per_row)), inside

    def spot_at(self, line: int, x: int) -> Spot | None:
        """Return what stands at a line and cell; None where nothing does."""
        if not 0 <= line < self.num_lines:
            return None
        nodes, inside = self.nodes_at(line)
        column, x = divmod(x, self.block_width) if self.blocks > 1 else (0, x)
        if column >= len(nodes):
            return None
        node = nodes[column]
        if inside < self.heading or x < self.left:
            return Spot(node)
        gpus, _ = self.gpus_at(node, inside)
        number = (x - self.left) // self.cell
        return Spot(node, gpus[number]) if number < min(len(gpus), self.per_row) else Spot(node)

    def lines_of(self, spot: Spot) -> range:
        """Return the lines on which a place is drawn."""
        start = self.starts[spot.node // self.blocks]
        if spot.gpu is None:
            return range(start, start + 1)
        start += self.heading + spot.gpu // self.per_row * self.row_lines
        return range(start, start + self.row_lines)

    def step(self, spot: Spot, step: Step, column: int | None) -> Spot:
        """Return the place one step away, or the same at an edge. `column` is kept from row to row."""
        if step == "first":
            return Spot(0)
        if step == "last":
            return Spot(len(self.sizes) - 1, max(0, self.sizes[-1] - 1) if self.sizes[-1] else None)
        if step in ("left", "right"):
            return self._beside(spot, 1 if step == "right" else -1)
        return self._above_or_below(spot, 1 if step == "down" else -1, column)

    def _beside(self, spot: Spot, by: int) -> Spot:
        # -1 stands for the node itself, which comes before its GPUs.
        number = (-1 if spot.gpu is None else spot.gpu) + by
        if -1 <= number < self.sizes[spot.node]:
            return Spot(spot.node, None if number < 0 else number)
        node = spot.node + by
        if not 0 <= node < len(self.sizes):
            return spot
        return Spot(node, None if by > 0 or not self.sizes[node] else self.sizes[node] - 1)

    def _above_or_below(self, spot: Spot, by: int, column: int | None) -> Spot:
        first = -1 if self.heading else 0
        row = first if spot.gpu is None else spot.gpu // self.per_row
        if spot.gpu is None and not self.heading:
            row = 0 if by < 0 else self._last_row(spot.node)
        row, node = row + by, spot.node
        if not first <= row <= self._last_row(node):
            node += by * self.blocks
            if not 0 <= node < len(self.sizes):
                return spot
            row = first if by > 0 else self._last_row(node)
        return self._in_row(node, row, column)

    def _last_row(self, node: int) -> int:
        rows = -(-self.sizes[node] // self.per_row)
        return rows - 1 if self.heading else max(0, rows - 1)

    def _in_row(self, node: int, row: int, column: int | None) -> Spot:
        if row < 0 or not self.sizes[node] or (column is None and not self.heading):
            return Spot(node)
        return Spot(node, min(self.sizes[node] - 1, row * self.per_row + (column or 0)))

    def column_of(self, spot: Spot) -> int | None:
        """Return the column of a place; None for a node."""
        return None if spot.gpu is None else spot.gpu % self.per_row


def make_grid(cluster: Cluster, density: Density, width: int) -> Grid:
    """Lay the nodes out so that every GPU is drawn."""
    sizes = tuple(len(node.gpus) for node in cluster.nodes)
    widest = max(sizes, default=1) or 1
    if density in ("large", "tiles"):
        return _tiles(sizes, density, widest, width)
    if density == "rows":
        return _stacked(density, sizes, cell=width, per_row=1, left=0, heading=1, row_lines=1)
    if density == "strips":
        cell, per_row = _shared(width - 1, widest, _NARROWEST_CELL, _WIDEST_CELL)
        return _stacked(density, sizes, cell, per_row, left=1, heading=1, row_lines=STRIP_LINES)
    if density == "nodes":
        return _node_rows(sizes, widest, width)
    name = min(_LONGEST_NAME, max((len(node.name) for node in cluster.nodes), default=1))
    return _heat(sizes, widest, width, name)


def _stacked(
    density: Density, sizes: Sequence[int], cell: int, per_row: int, left: int, heading: int, row_lines: int
) -> Grid:
    heights = [max(1, heading + -(-size // per_row) * row_lines) for size in sizes]
    ends = tuple(accumulate(heights, initial=0))
    return Grid(density, tuple(sizes), cell, per_row, left, heading, row_lines, ends[:-1], ends[-1])


def _tiles(sizes: tuple[int, ...], density: Density, widest: int, width: int) -> Grid:
    per_row = max(1, min(widest, (width - 1) // (MIN_TILE_WIDTH + TILE_GAP)))
    while widest % per_row and per_row > (widest + 1) // 2:
        per_row -= 1
    tile = min(MAX_TILE_WIDTH, (width - 1) // per_row - TILE_GAP)
    lines = LARGE_TILE_LINES if density == "large" else TILE_LINES
    return _stacked(density, sizes, max(1, tile) + TILE_GAP, per_row, left=1, heading=1, row_lines=lines + 1)


def _shared(room: int, count: int, narrowest: int, widest: int) -> tuple[int, int]:
    """Share `room` cells among `count` GPUs: the cells of each, and how many stand side by side."""
    per_row = max(1, min(count, room // narrowest))
    rows = -(-count // per_row)
    per_row = -(-count // rows)
    return max(1, min(widest, room // per_row)), per_row


def _node_rows(sizes: tuple[int, ...], widest: int, width: int) -> Grid:
    name = min(24, max(8, width // 5))
    room = width - name - 2 - node_tail(width)
    with_names = room >= 12 * widest
    cell, per_row = _shared(room, widest, 2, 14 + _ROLE_NAME if with_names else 14)
    grid = _stacked("nodes", sizes, cell, per_row, left=name + 2, heading=0, row_lines=1)
    return replace(grid, name=name)


def node_tail(width: int) -> int:
    """Cells at the end of a node's line for its replicas and its state."""
    return replicas_cells(width) + (13 if width < 100 else 24 if width < 160 else 36)


def replicas_cells(width: int) -> int:
    """Cells for the replicas on a node, the gap included."""
    return 10 if width >= 60 else 0


def role_cells(grid: Grid) -> int:
    """Cells of a GPU's role in a node's line; 0 leaves it out."""
    return _ROLE_NAME if grid.cell >= 12 else 0


def _heat(sizes: tuple[int, ...], widest: int, width: int, name: int) -> Grid:
    room = max(1, width - 1 - name - 4)
    _, per_row = _shared(room, widest, 1, 1)
    blocks = max(1, (width - 1) // (name + 2 + per_row + 2))
    heights = [max(1, -(-size // per_row)) for size in sizes]
    rows = [max(heights[at : at + blocks]) for at in range(0, len(sizes), blocks)]
    ends = tuple(accumulate(rows, initial=0))
    return Grid("heat", sizes, 1, per_row, name + 3, 0, 1, ends[:-1], ends[-1], blocks, name)

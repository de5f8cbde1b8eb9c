"""The map of nodes and GPUs, from large tiles to one character per GPU: the largest that fits.

A cursor moves over it, by keys or by the mouse.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text
from textual import events
from textual.geometry import Size

from cluster.inventory import Node
from tui.glyphs import CURSOR
from tui.health_marks import HEALTHY, mark_of
from tui.messages import PlaceChosen
from tui.scene import Scene
from tui.styles import Styles
from tui.views import Place
from tui.widgets.gpu_row import gpu_row, legend, row_columns, row_heading
from tui.widgets.gpu_tile import tiles_line
from tui.widgets.heat_line import HEAT_LEGEND, heat_line
from tui.widgets.line_view import LineView
from tui.widgets.map_cursor import MapCursor
from tui.widgets.map_grid import DENSITIES, Density, Grid, Spot, Step, make_grid
from tui.widgets.node_line import node_heading, node_row, spot_text, strip_line

History = Callable[[str], tuple[float, ...]]


class ClusterMap(LineView):
    """Nodes and GPUs. Give it a scene; it redraws what is visible."""

    def __init__(self, history: History, id: str | None = None) -> None:
        super().__init__(id=id)
        self._history = history
        self._scene: Scene | None = None
        self._grids: dict[tuple[Density, int], Grid] = {}
        self._chosen: dict[tuple[object, ...], Grid] = {}
        self._extra: tuple[bool, bool] | None = None
        self._cursor = MapCursor()
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
            self._cursor.show(scene.cluster if scene is not None else None)
            self._extra = None
            if old is not None and scene is not None and _same_shape(scene, old):
                self.redraw()
                return
            self._grids.clear()
            self._chosen.clear()
            self.refresh(layout=True)
        elif scene.readings or not scene.differs_only_in_time(old):
            # Without readings no age grows on the map.
            self.redraw()

    @property
    def cursor(self) -> Place | None:
        """The place under the cursor; None while it is not on the map."""
        return self._cursor.place

    @property
    def node_at_cursor(self) -> Node | None:
        """The node that the cursor is on, or on a GPU of."""
        spot, scene = self._cursor.spot, self._scene
        return scene.cluster.nodes[spot.node] if spot is not None and scene is not None else None

    def enter(self) -> None:
        """Put the cursor on the map: where it was, else on the first visible place."""
        grid = self.grid(self.size.width)
        if grid is not None:
            self._cursor.enter(grid.spot_at(self.top + grid.heading, grid.left))
            self._reveal(grid)
            self.redraw()

    def leave(self) -> None:
        """Take the cursor off the map; it comes back to the same place."""
        self._cursor.leave()
        self.redraw()

    def move(self, step: Step) -> None:
        """Move the cursor one step."""
        grid, before = self.grid(self.size.width), self._cursor.spot
        if grid is not None and before is not None and self._cursor.step(grid, step):
            top = self.top
            self._reveal(grid)
            changed = [*grid.lines_of(before), *grid.lines_of(self._cursor.spot or before)]
            # The heading has its own line, and says what is under the cursor.
            self.redraw(None if self.top != top else [self.top, *(line + 1 for line in changed)])

    def _reveal(self, grid: Grid) -> None:
        """Scroll to the cursor."""
        spot = self._cursor.spot
        if spot is None or self.size.height < 2:
            return
        lines = grid.lines_of(spot)
        # The line below the heading is `top`.
        if lines.start < self.top:
            self.top = lines.start
        elif lines.stop > self.top + self.size.height - 1:
            # Of a tile that is taller than the map, the upper part.
            self.top = min(lines.start, lines.stop - self.size.height + 1)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse points."""
        grid = self.grid(self.size.width)
        spot = grid.spot_at(self.top + event.y - 1, event.x) if grid is not None and event.y > 0 else None
        if spot is not None:
            again = spot == self._cursor.spot
            self._cursor.put(spot)
            self.redraw()
            self.post_message(PlaceChosen(again))

    def reveal(self, text: str) -> bool:
        """Put the cursor on the first node whose name contains `text`; False when there is none."""
        grid = self.grid(self.size.width)
        if grid is None or self._scene is None:
            return False
        for number, node in enumerate(self._scene.cluster.nodes):
            if text.lower() in node.name.lower():
                self.top = grid.lines_of(Spot(number)).start
                self._cursor.put(Spot(number))
                self.redraw()
                return True
        return False

    def next_density(self) -> None:
        """Switch to the next density; after the last one, back to automatic."""
        order: tuple[Density | None, ...] = (None, *DENSITIES)
        self.density = order[(order.index(self.density) + 1) % len(order)]
        self.top = 0
        self.refresh(layout=True)
        self.call_after_refresh(self._reveal_cursor)

    def _reveal_cursor(self) -> None:
        grid = self.grid(self.size.width)
        if grid is not None:
            self._reveal(grid)

    def grid(self, width: int) -> Grid | None:
        """Return the grid at a width: the largest that fits, else the densest."""
        if self._scene is None or not self._scene.cluster.nodes:
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
        numbers, line = grid.nodes_at(index - 1)
        spot = self._cursor.spot
        if grid.density == "heat":
            nodes = scene.cluster.nodes[numbers.start : numbers.stop]
            at = spot if spot is not None and spot.node in numbers else None
            return heat_line(nodes, scene, grid, line, styles, at and Spot(at.node - numbers.start, at.gpu))
        number = numbers.start
        here = spot if spot is not None and spot.node == number else None
        return self._node_line(scene.cluster.nodes[number], (number, line), grid, width, styles, here)

    def _node_line(
        self, node: Node, at: tuple[int, int], grid: Grid, width: int, styles: Styles, here: Spot | None
    ) -> Text:
        """Draw line `at[1]` of node number `at[0]`; `here` is the cursor, where it is on this node."""
        assert self._scene is not None
        number, line = at
        if line < grid.heading:
            return node_heading(node, self._scene, width, styles, here is not None and here.gpu is None)
        gpus, inside = grid.gpus_at(number, line)
        if grid.density == "nodes":
            return node_row(node, self._scene, grid, gpus, width, styles, here)
        views = [self._scene.gpu_view(node, node.gpus[position]) for position in gpus]
        chosen = (
            here.gpu - gpus.start if here is not None and here.gpu is not None and here.gpu in gpus else None
        )
        if grid.density == "rows":
            return gpu_row(views[0], row_columns(width, *self._extra_columns), styles, chosen == 0)
        if grid.density == "strips":
            return strip_line(views, inside, grid, styles, chosen)
        return tiles_line(views, inside, grid, self._history, styles, chosen)

    def _heading(self, grid: Grid, width: int, styles: Styles) -> Text:
        assert self._scene is not None
        spot = self._cursor.spot
        if grid.density == "rows":
            heading = row_heading(row_columns(width, *self._extra_columns), styles)
        elif spot is not None:
            heading = Text(no_wrap=True, end="").append(f"{CURSOR} ", styles.accent)
            heading.append_text(spot_text(self._scene, spot, styles))
        else:
            heading = Text(" ", no_wrap=True, end="").append_text(legend(styles, width - 1))
            if grid.density == "heat":
                heading.append(HEAT_LEGEND, styles.muted)
        if self.num_lines(width) > self.size.height:
            self._append_page(heading, grid, width, styles)
        return heading

    def _append_page(self, heading: Text, grid: Grid, width: int, styles: Styles) -> None:
        """Say which nodes are visible, at the end of the heading."""
        total = len(grid.sizes)
        first = grid.nodes_at(self.top)[0].start + 1
        last = grid.nodes_at(min(grid.num_lines - 1, self.top + self.size.height - 2))[0].stop
        page = f"  nodes {first:,}–{last:,} of {total:,}"
        heading.rstrip()
        heading.truncate(max(0, width - len(page)), overflow="ellipsis")
        heading.append(page, styles.muted)

    @property
    def _extra_columns(self) -> tuple[bool, bool]:
        """Whether rows have a column for the type (some node has several), and one for the health."""
        if self._extra is None and self._scene is not None:
            nodes = self._scene.cluster.nodes
            mixed = any(len({gpu.type for gpu in node.gpus}) > 1 for node in nodes)
            marked = any(mark_of(gpu, None) is not HEALTHY for node in nodes for gpu in node.gpus)
            self._extra = (mixed, marked)
        return self._extra or (False, False)


def _same_shape(scene: Scene, other: Scene) -> bool:
    """Return whether two inventories take the same lines: only figures and verdicts differ."""
    nodes, others = scene.cluster.nodes, other.cluster.nodes
    return len(nodes) == len(others) and all(
        node.name == beside.name and len(node.gpus) == len(beside.gpus)
        for node, beside in zip(nodes, others, strict=True)
    )

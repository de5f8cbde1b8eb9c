"""The map's cursor: which node or GPU it is on, kept by id while the cluster changes."""

from __future__ import annotations

from cluster.inventory import Cluster
from tui.views import Place
from tui.widgets.map_grid import Grid, Spot, Step


class MapCursor:
    """Knows its place by number, for drawing, and by id, for everything else."""

    def __init__(self) -> None:
        self._cluster: Cluster | None = None
        self._spot: Spot | None = None
        self._place: Place | None = None
        self._column: int | None = None
        self._keeps_column = False
        self._is_on = False

    @property
    def spot(self) -> Spot | None:
        """Where it is; None while it is not on the map."""
        return self._spot if self._is_on else None

    @property
    def place(self) -> Place | None:
        """What it is on; None while it is not on the map."""
        return self._place if self._is_on else None

    def show(self, cluster: Cluster | None) -> None:
        """Find its place in another inventory; it leaves the map with what it was on."""
        self._cluster = cluster
        if self._place is not None:
            self._spot = self._find(self._place)
            self._is_on = self._is_on and self._spot is not None
            self._place = self._place_of(self._spot)

    def enter(self, otherwise: Spot | None) -> None:
        """Come back to where it was, or to another place."""
        self.put(self._spot or otherwise or Spot(0))

    def leave(self) -> None:
        """Leave the map, and remember the place."""
        self._is_on = False

    def put(self, spot: Spot) -> None:
        """Go to a place."""
        place = self._place_of(spot)
        if place is not None:
            self._spot, self._place, self._is_on = spot, place, True
            self._keeps_column = False

    def step(self, grid: Grid, step: Step) -> bool:
        """Take a step; return whether it led anywhere."""
        before = self.spot
        if before is None:
            return False
        is_vertical = step in ("up", "down")
        # A column is kept over rows that are too short for it, and over headings.
        if not is_vertical or not self._keeps_column:
            self._column = grid.column_of(before)
        after = grid.step(before, step, self._column)
        self.put(after)
        self._keeps_column = is_vertical
        return after != before

    def _place_of(self, spot: Spot | None) -> Place | None:
        nodes = self._cluster.nodes if self._cluster is not None else ()
        if spot is None or spot.node >= len(nodes):
            return None
        node = nodes[spot.node]
        if spot.gpu is None:
            return Place(node.node_id)
        return Place(node.node_id, node.gpus[spot.gpu].uuid) if spot.gpu < len(node.gpus) else None

    def _find(self, place: Place) -> Spot | None:
        for number, node in enumerate(self._cluster.nodes if self._cluster is not None else ()):
            if node.node_id == place.node_id:
                gpus = [position for position, gpu in enumerate(node.gpus) if gpu.uuid == place.gpu_uuid]
                return Spot(number, gpus[0] if gpus else None)
        return None

"""Which cells of the map belong to which place, by asking every cell."""

from __future__ import annotations

from tui.widgets.map_grid import Grid, Spot


def cells_of(grid: Grid, width: int) -> dict[Spot, set[tuple[int, int]]]:
    """Return the (line, cell) pairs at which each place is found."""
    found: dict[Spot, set[tuple[int, int]]] = {}
    for line in range(grid.num_lines):
        for x in range(width):
            spot = grid.spot_at(line, x)
            if spot is not None:
                found.setdefault(spot, set()).add((line, x))
    return found

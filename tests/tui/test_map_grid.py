"""Every GPU has a place on the map, at every width and density, and keys lead to it."""

from __future__ import annotations

import pytest

from cluster.inventory import Cluster
from tests.tui.builders import make_cluster
from tests.tui.map_cells import cells_of
from tui.widgets.map_grid import DENSITIES, Density, Spot, make_grid

WIDTHS = (24, 40, 80, 120, 240)


def mixed(*sizes: int) -> Cluster:
    """Build a cluster of nodes with these numbers of GPUs."""
    nodes = [
        make_cluster(1, size).nodes[0].model_copy(update={"node_id": str(number)})
        for number, size in enumerate(sizes)
    ]
    return make_cluster(1, 1).model_copy(update={"nodes": tuple(nodes)})


CLUSTERS = {"rack": mixed(72), "mixed": mixed(8, 0, 72, 1, 4), "many": mixed(*[8] * 40)}


def spots_of(cluster: Cluster) -> list[Spot]:
    """All nodes and GPUs in order."""
    return [
        Spot(number, gpu)
        for number, node in enumerate(cluster.nodes)
        for gpu in (None, *range(len(node.gpus)))
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize("name", CLUSTERS)
def test_every_node_and_gpu_has_cells_of_its_own(name: str, density: Density, width: int) -> None:
    cluster = CLUSTERS[name]
    grid = make_grid(cluster, density, width)
    found = cells_of(grid, width)
    assert set(found) == set(spots_of(cluster))
    for spot, cells in found.items():
        lines = grid.lines_of(spot)
        assert {line for line, _ in cells} & set(lines), spot
        if spot.gpu is not None:
            assert {line for line, _ in cells} == set(lines)


@pytest.mark.parametrize("density", DENSITIES)
def test_right_visits_everything_once_and_left_comes_back(density: Density) -> None:
    cluster = CLUSTERS["mixed"]
    grid, spots = make_grid(cluster, density, 80), spots_of(cluster)
    assert [grid.step(spot, "right", None) for spot in spots] == [*spots[1:], spots[-1]]
    assert [grid.step(spot, "left", None) for spot in spots] == [spots[0], *spots[:-1]]
    assert grid.step(spots[5], "first", None) == spots[0]
    assert grid.step(spots[5], "last", None) == spots[-1]


@pytest.mark.parametrize("density", DENSITIES)
def test_down_reaches_the_bottom_and_up_the_top(density: Density) -> None:
    cluster = CLUSTERS["mixed"]
    grid = make_grid(cluster, density, 80)
    seen = [Spot(0, 2)]
    while (below := grid.step(seen[-1], "down", 2)) != seen[-1]:
        assert below not in seen
        seen.append(below)
    bottom = max(grid.lines_of(seen[-1]))
    assert seen[-1].node == (len(cluster.nodes) - 1 if grid.blocks == 1 else seen[-1].node)
    assert bottom >= grid.starts[-1]
    assert grid.step(Spot(0), "up", None) == Spot(0)


def test_a_column_is_kept_from_row_to_row() -> None:
    grid = make_grid(CLUSTERS["many"], "heat", 80)
    assert grid.blocks > 1
    assert grid.step(Spot(0, 5), "down", 5) == Spot(grid.blocks, 5)
    tiles = make_grid(mixed(8, 8), "tiles", 120)
    assert tiles.per_row == 4
    assert [tiles.step(Spot(0, 2), "down", 2), tiles.step(Spot(0, 6), "down", 2)] == [Spot(0, 6), Spot(1)]
    assert tiles.step(Spot(1), "down", 2) == Spot(1, 2)

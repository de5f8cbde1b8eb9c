"""Group GPUs whose every pair is joined by a fast link."""

from __future__ import annotations

from collections.abc import Collection, Iterable

Pair = tuple[int, int]


def islands_of(indexes: Iterable[int], joined: Collection[Pair]) -> dict[int, str]:
    """Name the island of each GPU that has one; `joined` holds pairs with the smaller index first.

    Islands are cliques, not connected components: in a cube mesh all GPUs hang together, yet only four of
    them each have a link to one another.
    """
    islands: list[list[int]] = []
    for index in indexes:
        home = next((i for i in islands if all((member, index) in joined for member in i)), None)
        if home is None:
            islands.append([index])
        else:
            home.append(index)
    real = [island for island in islands if len(island) > 1]
    return {index: f"nvlink-{number}" for number, island in enumerate(real) for index in island}

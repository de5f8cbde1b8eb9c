"""Chunks of a joined domain: over as few islands or nodes as possible, with equally many GPUs of each."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.identity_cache import IdentityCache
from cluster.planner.placement.machines import Domain, Pool, Spot

Chunk = tuple[Spot, ...]
Cut = tuple[Pool, Chunk]

_BINS_OF_MEMORY = 16
_FEW = 64
_cuts: IdentityCache[tuple[Cut, ...]] = IdentityCache(_FEW)


def cut_joined(domain: Domain, size: int) -> tuple[Cut, ...]:
    """Cut a joined domain into chunks of `size`, each with the pool whose link it runs over.

    Engines start the same number of ranks on every node of a group, so a chunk is made of equal lanes, the
    widest possible first; the GPUs left over go to narrower ones.
    """
    return _cuts.get(domain, size, lambda: tuple(_cut(domain, size)))


def _cut(domain: Domain, size: int) -> Iterator[Cut]:
    left = [list(part.spots) for part in domain.parts]
    for lane in (width for width in range(size, 0, -1) if size % width == 0):
        lanes = sorted(_lanes(left, lane), key=lambda one: _order(domain.pool, one[1]))
        taken = lanes[: len(lanes) * lane // size * size // lane]
        for first in range(0, len(taken), size // lane):
            group = taken[first : first + size // lane]
            spots = [spot for _, lane_spots in group for spot in lane_spots]
            parts = {part for part, _ in group}
            pool = domain.parts[parts.pop()].pool if len(parts) == 1 else domain.pool
            yield pool, tuple(sorted(spots, key=_free_first))
        used = {spot for _, lane_spots in taken for spot in lane_spots}
        left = [[spot for spot in part if spot not in used] for part in left] if used else left


def _lanes(parts: list[list[Spot]], width: int) -> Iterator[tuple[int, Chunk]]:
    for number, spots in enumerate(parts):
        for first in range(0, len(spots) - width + 1, width):
            yield number, tuple(spots[first : first + width])


def _order(pool: Pool, lane: Chunk) -> tuple[int, int, int]:
    """Sort key: lanes with similar free memory are ordered by node, so that groups use neighboring nodes."""
    least = min(spot.free_bytes for spot in lane)
    return -(least * _BINS_OF_MEMORY // max(1, pool.total_bytes)), lane[0].node_offset, lane[0].gpu_position


def _free_first(spot: Spot) -> tuple[int, int, int]:
    return -spot.free_bytes, spot.node_offset, spot.gpu_position

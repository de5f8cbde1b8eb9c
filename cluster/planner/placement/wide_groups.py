"""Chunks of a joined domain: over as few islands or nodes as possible, with equally many GPUs of each."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.planner.identity_cache import IdentityCache
from cluster.planner.placement.machines import GpuPool, GpuSlot, TpDomain

TpGroup = tuple[GpuSlot, ...]
PooledGroup = tuple[GpuPool, TpGroup]

_BINS_OF_MEMORY = 16
_FEW = 64
_cuts: IdentityCache[tuple[PooledGroup, ...]] = IdentityCache(_FEW)


def split_joined(domain: TpDomain, size: int) -> tuple[PooledGroup, ...]:
    """Split a joined domain into TP groups of `size`, each with the pool whose link it runs over.

    Engines start the same number of ranks on every node of a group, so a TP group is made of equal lanes, the
    widest possible first; the GPUs left over go to narrower ones.
    """
    return _cuts.get(domain, size, lambda: tuple(_cut(domain, size)))


def _cut(domain: TpDomain, size: int) -> Iterator[PooledGroup]:
    left = [list(part.slots) for part in domain.parts]
    for lane in (width for width in range(size, 0, -1) if size % width == 0):
        lanes = sorted(_lanes(left, lane), key=lambda one: _order(domain.pool, one[1]))
        taken = lanes[: len(lanes) * lane // size * size // lane]
        for first in range(0, len(taken), size // lane):
            group = taken[first : first + size // lane]
            slots = [slot for _, lane_slots in group for slot in lane_slots]
            parts = {part for part, _ in group}
            pool = domain.parts[parts.pop()].pool if len(parts) == 1 else domain.pool
            yield pool, tuple(sorted(slots, key=_free_first))
        used = {slot for _, lane_slots in taken for slot in lane_slots}
        left = [[slot for slot in part if slot not in used] for part in left] if used else left


def _lanes(parts: list[list[GpuSlot]], width: int) -> Iterator[tuple[int, TpGroup]]:
    for number, slots in enumerate(parts):
        for first in range(0, len(slots) - width + 1, width):
            yield number, tuple(slots[first : first + width])


def _order(pool: GpuPool, lane: TpGroup) -> tuple[float, ...]:
    """Sort key: lanes with similar free memory, sound ones first, are ordered by node, so that groups use
    neighboring nodes."""
    least, avoid = min(slot.free_bytes for slot in lane), max(slot.avoid for slot in lane)
    bins = least * _BINS_OF_MEMORY // max(1, pool.total_bytes)
    return -bins, avoid, lane[0].node_offset, lane[0].gpu_position


def _free_first(slot: GpuSlot) -> tuple[int, int, int]:
    return -slot.free_bytes, slot.node_offset, slot.gpu_position

"""When nothing fits: by how much, and the least changes that would make it fit."""

from __future__ import annotations

from cluster.planner.search.context import Context
from cluster.planner.search.run import Found


def advise(context: Context, found: Found) -> tuple[str, ...]:
    """Return plain sentences, the nearest miss first."""
    if not found.refused:
        return ("the cluster has no GPU that can be used",)
    nearest = found.refused[0]
    return tuple(f"{nearest.label}: {rejection.message}: {rejection.fix}" for rejection in nearest.rejections)

"""Communication of training: gradients are summed over data-parallel ranks once a step."""

from __future__ import annotations

from cluster.planner.cost.collective import Link, all_reduce_time_s


def gradient_all_reduce_time_s(gradient_bytes: float, dp: int, link: Link) -> float:
    """Return seconds of one all-reduce of a rank's gradients over `dp` ranks; 0 for one."""
    return all_reduce_time_s(gradient_bytes, dp, link)

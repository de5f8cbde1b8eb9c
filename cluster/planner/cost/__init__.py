"""Time: TTFT, TPOT and throughput of a layout, from achieved rates and an alpha-beta link model."""

from __future__ import annotations

from cluster.planner.cost.collective import (
    Link,
    all_reduce_time_s,
    all_to_all_time_s,
    link_for,
    send_time_s,
)
from cluster.planner.cost.estimate import estimate
from cluster.planner.cost.stage_sums import all_reduces_per_token

__all__ = [
    "Link",
    "all_reduce_time_s",
    "all_reduces_per_token",
    "all_to_all_time_s",
    "estimate",
    "link_for",
    "send_time_s",
]

"""Time: TTFT, TPOT and throughput of a layout, from achieved rates and an alpha-beta link model."""

from __future__ import annotations

from cluster.planner.cost.all_reduces import all_reduces_per_token
from cluster.planner.cost.collective import (
    Link,
    all_reduce_time_s,
    all_to_all_time_s,
    link_for,
    send_time_s,
)
from cluster.planner.cost.estimate import estimate
from cluster.planner.cost.limits import meets_limits
from cluster.planner.cost.topology import Topology
from cluster.planner.cost.training import gradient_all_reduce_time_s

__all__ = [
    "Link",
    "Topology",
    "all_reduce_time_s",
    "all_reduces_per_token",
    "all_to_all_time_s",
    "estimate",
    "gradient_all_reduce_time_s",
    "link_for",
    "meets_limits",
    "send_time_s",
]

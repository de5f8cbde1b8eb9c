"""Does an estimate keep the user's limits?"""

from __future__ import annotations

from cluster.planner.request import PlanRequest
from cluster.planner.result import Estimate


def meets_limits(estimate: Estimate, request: PlanRequest) -> bool:
    """Return whether the predicted TTFT and TPOT are within what was asked; no limit is always met."""
    return (request.ttft_s is None or estimate.ttft_s.value <= request.ttft_s) and (
        request.tpot_s is None or estimate.tpot_s.value <= request.tpot_s
    )

"""Print a plan as JSON on stdout."""

from __future__ import annotations

import json
import sys

from cluster.planner.result import Plan
from cluster.planner.to_json import plan_to_json


def print_json(plan: Plan, top: int | None) -> None:
    """Write one JSON object with the first `top` candidates; None: with all."""
    json.dump(plan_to_json(plan, top), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")

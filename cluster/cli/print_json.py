"""Print a plan as JSON on stdout."""

from __future__ import annotations

import json
import sys

from cluster.planner.result import Plan
from cluster.planner.to_json import plan_to_json


def print_json(plan: Plan, top: int | None) -> None:
    """Write one JSON object with the first `top` candidates; None: with all. Indented for a reader only."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(plan_to_json(plan, top), indent=indent, allow_nan=False) + "\n")

"""Print a plan as JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from cluster.planner.result import Plan
from cluster.planner.to_json import plan_to_json


def print_json(plan: Plan, top: int | None, more: Mapping[str, Any] | None = None) -> None:
    """Write one JSON object with the first `top` candidates; None: with all. Indented for a reader only.

    `more` is added at the top level.
    """
    indent = 2 if sys.stdout.isatty() else None
    document = {**plan_to_json(plan, top), **(more or {})}
    sys.stdout.write(json.dumps(document, indent=indent, allow_nan=False) + "\n")

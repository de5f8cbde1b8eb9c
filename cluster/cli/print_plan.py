"""Print a plan as text for a person."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.cli.style import Style, style_for_stdout
from cluster.cli.wrap import terminal_width
from cluster.planner.result import Plan


def print_plan(plan: Plan) -> None:
    """Write the plan to stdout."""
    print("\n".join(plan_lines(plan, style_for_stdout(), terminal_width())))


def plan_lines(plan: Plan, style: Style, width: int = 100) -> Iterator[str]:
    """Yield the plan line by line: what was asked, the answer, the reasons, the alternatives."""
    from cluster.cli.plan_sections import (
        alternatives,
        comparison,
        decision,
        heading,
        health,
        placement,
        recommendation,
    )

    yield from heading(plan, style, width)
    for section in (recommendation, decision, placement, health, comparison, alternatives):
        lines = list(section(plan, style, width))
        if lines:
            yield ""
            yield from lines

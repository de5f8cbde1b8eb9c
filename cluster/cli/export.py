"""`clusterview export`: a layout of the plan as commands or manifests."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.cli.dry_run import check_live, cluster_from
from cluster.cli.resolve import check_lengths, model_from, request_from
from cluster.errors import BadInput, NothingFits
from cluster.units import count_of

if TYPE_CHECKING:
    from cluster.export.format import ExportFormat
    from cluster.planner.request import PlanRequest
    from cluster.planner.result import Candidate, Plan


def run(arguments: argparse.Namespace) -> int:
    """Plan for the engine of the format, and write the layout to --output or stdout (also named '-')."""
    from cluster.export.format import load_format
    from cluster.export.make import export
    from cluster.planner.plan import plan

    format = load_format(arguments.format)
    request = _request(arguments, format)
    cluster = cluster_from(arguments)
    check_live(arguments, cluster)
    model = model_from(arguments)
    check_lengths(request, model)
    if arguments.model is None:
        print(f"clusterview: no --model given, planning for {model.name}", file=sys.stderr)
    answer = plan(cluster, model, request)
    file = export(answer, _layout(answer, arguments.layout), format)
    _write(file.text, arguments.output, may_replace=arguments.force)
    return 0


def _request(arguments: argparse.Namespace, format: ExportFormat) -> PlanRequest:
    from cluster.export.make import request_for

    if arguments.engine not in (None, format.engine):
        raise BadInput(
            f"--format {format.name} starts {format.engine}, so it cannot be planned for {arguments.engine}",
            "Omit --engine",
        )
    return request_for(format, replace(request_from(arguments), engine=format.engine))


def _layout(answer: Plan, number: int) -> Candidate:
    fitting = [candidate for candidate in answer.candidates if candidate.feasible]
    if not fitting:
        raise NothingFits(f"{answer.model.name}: no layout fits", "; ".join(answer.advice[:2]))
    if number > len(fitting):
        found = f"--layout {number}: the plan has {count_of(len(fitting), 'layout')} to export"
        raise BadInput(found, "--dry-run lists them in this order")
    return fitting[number - 1]


def _write(text: str, output: str | None, *, may_replace: bool) -> None:
    if output in (None, "-"):
        sys.stdout.write(text)
        return
    from cluster.whole_file import write_whole

    path = Path(str(output)).expanduser()
    if not may_replace and path.is_file():
        raise BadInput(f"{path} exists already", "Choose another --output, or replace it with --force")
    write_whole(path, text, may_replace=may_replace)
    print(f"clusterview: wrote {path}", file=sys.stderr)

"""A layout on screen as an exported file: planned again where a format starts another engine, and written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from cluster.errors import BadInput
from cluster.export.format import ExportFormat, load_format
from cluster.export.make import ExportedFile, export, is_planned_for, request_for
from cluster.export.names import format_names
from cluster.planner.result import Candidate, Plan
from cluster.whole_file import write_whole
from tui.planner.by_name import PlanFunction
from tui.question import candidate_key, find_candidate, model_reference

_MOST_NAMES = 100


def all_formats() -> tuple[ExportFormat, ...]:
    """Return the formats. Imports each of them, so call it in a thread."""
    return tuple(load_format(name) for name in format_names())


def export_of(plan: Plan, candidate: Candidate, format: ExportFormat, ask: PlanFunction) -> ExportedFile:
    """Return a layout in a format; for another engine the same degrees are planned again. Run in a thread.

    Raises what the planner raises, and BadInput for what the format cannot express.
    """
    if is_planned_for(format, plan):
        return export(plan, candidate, format)
    layout = candidate.layout
    request = request_for(format, plan.request)
    pinned = replace(request, tp=layout.tp, pp=layout.pp, dp=layout.dp, ep=layout.ep)
    other = ask(plan.cluster, model_reference(plan), pinned)
    found = find_candidate(other, candidate_key(candidate))
    if found is None:
        name = f"{other.engine_name} {other.engine_version}"
        raise BadInput(f"{candidate.label} is no layout for {name}", "Choose another layout or format")
    return export(other, found, format)


def write_new(file: ExportedFile, folder: Path) -> Path:
    """Write a file into a folder, under a name that is free there, and return its path.

    Raises BadInput or SystemFailed, as `write_whole`.
    """
    stem, dot, extension = file.name.rpartition(".")
    names = (file.name, *(f"{stem}-{number}{dot}{extension}" for number in range(2, _MOST_NAMES)))
    path = next((folder / name for name in names if not os.path.lexists(folder / name)), folder / file.name)
    write_whole(path, file.text, may_replace=False)
    return path

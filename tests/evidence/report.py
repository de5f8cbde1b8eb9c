"""The whole report, one section per kind of evidence."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from tests.evidence.rows import left_out_lines

Section = Callable[[Path], list[str]]

SECTIONS = (
    "memory_accuracy",
    "refusal_accuracy",
    "feasibility_accuracy",
    "layout_accuracy",
    "throughput_accuracy",
    "ranking_accuracy",
)
"""Modules of this package, each with `section(folder) -> lines`."""


def report(folder: Path) -> list[str]:
    """Return the lines of every section that this checkout has."""
    lines: list[str] = []
    for name in SECTIONS:
        module = f"{__package__}.{name}"
        if find_spec(module) is None:
            continue
        section = cast(Section, import_module(module).section)
        try:
            lines += [*section(folder), ""]
        except FileNotFoundError as error:
            lines += [f"{name.replace('_', ' ')}: left out, {error.filename} is not there", ""]
    return lines + left_out_lines(folder)

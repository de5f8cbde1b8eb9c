"""What a format is, and how one is found by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import BadInput
from cluster.export import formats
from cluster.export.names import format_names
from cluster.export.target import ExportTarget


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format, as its file in `formats/` describes it."""

    name: str
    """As in `--format`."""
    summary: str
    """What it is, in a few words: 'one `vllm serve` command per node'."""
    engine: str
    """The engine that it starts, and that plans for it are made for."""
    extension: str
    """Of its files, without a dot."""
    render: Callable[[ExportTarget], str]
    """Returns the text; BadInput says in one line what the format cannot express."""
    engine_version: str | None = None
    """The version that comes with it; None: whichever the plan was made for."""


def load_format(name: str) -> ExportFormat:
    """Return a format by name; BadInput names those there are."""
    if name not in format_names():
        raise BadInput(f"there is no export format {name}", f"Known: {', '.join(format_names())}")
    found: ExportFormat = importlib.import_module(f"{formats.__name__}.{name.replace('-', '_')}").FORMAT
    return found

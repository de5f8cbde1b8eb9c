"""Writes the report into ACCURACY.md, between two marks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cluster.errors import BadInput

BEGIN = "<!-- what `make evidence` prints: begin -->"
END = "<!-- what `make evidence` prints: end -->"


def table_of(text: str) -> str:
    """Return the text between the marks; BadInput if a mark is missing."""
    head, begin, rest = text.partition(BEGIN)
    table, end, _ = rest.partition(END)
    if not begin or not end:
        raise BadInput(
            f"the marks for the table are missing after {len(head)} characters", f"Put {BEGIN} back"
        )
    return table


def rendered(lines: Sequence[str]) -> str:
    """Return the report as it appears between the marks."""
    return "\n".join(["", "```", *lines, "```", ""])


def update_document(path: Path, lines: Sequence[str]) -> bool:
    """Write the report into the document; return whether that changed it."""
    text = path.read_text("utf-8")
    old, new = table_of(text), rendered(lines)
    if old == new:
        return False
    path.write_text(text.replace(BEGIN + old + END, BEGIN + new + END), "utf-8")
    return True

"""Wrap text to a width. The standard textwrap takes longer to import than a plan takes to make."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

NARROWEST, WIDEST, PIPED = 60, 120, 110


def terminal_width() -> int:
    """Return the columns to write in; a pipe has PIPED."""
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns or PIPED
    except (OSError, ValueError):
        columns = PIPED
    return max(NARROWEST, min(WIDEST, columns))


def wrap(text: str, width: int, indent: str = "") -> Iterator[str]:
    """Yield lines of at most `width`, longer words aside; following lines start with `indent`."""
    lead = text[: len(text) - len(text.lstrip(" "))]
    line, empty = lead, True
    for word in text.split():
        if not empty and len(line) + 1 + len(word) > width:
            yield line
            line, empty = indent, True
        line += word if empty else f" {word}"
        empty = False
    yield line

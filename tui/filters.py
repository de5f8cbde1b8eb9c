"""The last filter before the terminal: no control characters, and ASCII where the terminal needs it.

Textual lets ESC and C1 through in text (measured on 8.2.8). Strings are cleaned where they enter; this filter
is the second line of defense.
"""

from __future__ import annotations

import unicodedata

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.glyphs import to_ascii

_HIDDEN = frozenset({"Cc", "Cs", "Co"})
_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def printable(text: str) -> str:
    """Replace control characters and bidi overrides by '?'; printable text is returned as it is."""
    if text.isprintable():
        return text
    return "".join(
        "?" if char in _DIRECTIONS or unicodedata.category(char) in _HIDDEN else char for char in text
    )


class OutputFilter(LineFilter):
    """Clean every line on its way to the terminal."""

    def __init__(self, ascii_only: bool) -> None:
        super().__init__()
        self.ascii_only = ascii_only

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments with nothing but characters that a terminal draws."""
        cleaned = []
        for segment in segments:
            text = segment.text if segment.control else printable(segment.text)
            if self.ascii_only and not segment.control:
                text = to_ascii(text)
            cleaned.append(segment if text is segment.text else Segment(text, segment.style, segment.control))
        return cleaned

"""Pictures of screens that every renderer draws alike."""

from __future__ import annotations

import re

_CELL = 12.2
"""Units of a cell in the pictures that rich exports."""
_SPACE = "&#160;"
_TEXT = re.compile(r"(<text [^>]*textLength[^>]*>)(.*?)</text>")


def readable(svg: str) -> str:
    """Move spaces at the ends of texts into coordinates: some renderers drop them and shift the rest."""
    return _TEXT.sub(_without_outer_spaces, svg)


def with_common_font(svg: str) -> str:
    """Ask for a font that every machine has, at the size at which it is as wide as the picture's cells."""
    svg = re.sub(r"font-family: Fira Code[^;]*;", 'font-family: "DejaVu Sans Mono", monospace;', svg)
    return svg.replace("font-size: 20px;", "font-size: 20.265px;")


def _without_outer_spaces(found: re.Match[str]) -> str:
    head, body = found[1], found[2]
    inner = body
    leading = trailing = 0
    while inner.startswith(_SPACE):
        inner, leading = inner[len(_SPACE) :], leading + 1
    while inner.endswith(_SPACE):
        inner, trailing = inner[: -len(_SPACE)], trailing + 1
    if not inner or not leading + trailing:
        return found[0]
    head = re.sub(r'\bx="([\d.]+)"', lambda x: f'x="{float(x[1]) + _CELL * leading:g}"', head)
    shorter = _CELL * (leading + trailing)
    head = re.sub(r'textLength="([\d.]+)"', lambda x: f'textLength="{float(x[1]) - shorter:g}"', head)
    return f"{head}{inner}</text>"

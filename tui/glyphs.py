"""The symbols that the screens use, and their ASCII replacements.

Every symbol is one cell wide in both forms, so switching never moves a column.
"""

from __future__ import annotations

import locale
import os
from collections.abc import Mapping

USED = "▆"
PLANNED = "▃"
FREE = "▁"
OK = "●"
ROLE_LIVE = "●"
ROLE_PLANNED = "○"
STALE = "~"
TROUBLE = "!"
DEGRADED = "▲"
LEFT_OUT = "×"
CURSOR = "▸"
CROSS = "×"
TICK = "✓"
ARROW = "→"
RULE = "─"
BRANCH = "├"
LAST_BRANCH = "└"
TRUNK = "│"
DOT = "·"
SPARK = " ▁▂▃▄▅▆▇"

_ASCII = str.maketrans(
    {
        USED: "#",
        PLANNED: "=",
        FREE: ".",
        "▂": ".",
        "▄": "=",
        "▇": "#",
        "▅": "=",
        "█": "#",
        OK: "*",
        ROLE_PLANNED: "o",
        DEGRADED: "^",
        CURSOR: ">",
        CROSS: "x",
        TICK: "v",
        ARROW: ">",
        "←": "<",
        "↑": "^",
        "↓": "v",
        RULE: "-",
        "━": "=",
        BRANCH: "|",
        LAST_BRANCH: "`",
        TRUNK: "|",
        "┌": ".",
        "┐": ".",
        "┬": "+",
        "╭": ".",
        "╮": ".",
        "╰": "`",
        "╯": "'",
        DOT: ".",
        "–": "-",
        "—": "-",
        "−": "-",
        "…": "~",
        "µ": "u",
        "°": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "≤": "<",
        "≥": ">",
        "±": "~",
    }
)


def to_ascii(text: str) -> str:
    """Replace non-ASCII characters without changing the width; unknown characters become '?'."""
    if text.isascii():
        return text
    from rich.cells import cell_len

    spelled = text.translate(_ASCII)
    return "".join(char if char.isascii() else "?" * cell_len(char) for char in spelled)


def wants_ascii(environment: Mapping[str, str] = os.environ, encoding: str | None = None) -> bool:
    """Return whether this terminal may not show box and block characters."""
    if environment.get("TERM", "") in ("dumb", "linux", "vt100", "vt220"):
        return True
    name = encoding if encoding is not None else locale.getpreferredencoding(False)
    return "utf" not in name.lower()

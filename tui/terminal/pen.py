"""The attributes of a cell, and the shortest escape sequence from one set to the next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rich.color import ColorSystem
from rich.style import Style
from textual.strip import Strip

_COLOR_PARTS = {"5": 3, "2": 5}
"""Parameters of a color by its kind: 38;5;n and 38;2;r;g;b."""
_FOREGROUNDS = frozenset(map(str, (*range(30, 40), *range(90, 98))))
_BACKGROUNDS = frozenset(map(str, (*range(40, 50), *range(100, 108))))


@dataclass(frozen=True, slots=True, eq=False)
class Pen:
    """Attributes and colors as SGR parameters; two equal pens are the same object."""

    attributes: str = ""
    foreground: str = "39"
    background: str = "49"

    @staticmethod
    def of(style: Style, color_system: ColorSystem) -> Pen:
        """Return the pen of a style. Links and meta data are not drawn."""
        return _pen_of(style, color_system)

    def for_blanks(self) -> Pen:
        """Return the pen that draws a blank alike: without attributes the foreground does not show."""
        return self if self.attributes else _pen("", "39", self.background)

    def after(self, before: Pen | None) -> str:
        """Return the sequence that changes from another pen, or from the terminal's own (None)."""
        if before is self:
            return ""
        parts: list[str] = []
        if before is None or before.attributes != self.attributes:
            parts.append("0" + (f";{self.attributes}" if self.attributes else ""))
            before = PLAIN
        parts.extend([self.foreground] if self.foreground != before.foreground else [])
        parts.extend([self.background] if self.background != before.background else [])
        return f"\x1b[{';'.join(parts)}m"


@lru_cache(maxsize=4096)
def _pen(attributes: str, foreground: str, background: str) -> Pen:
    return Pen(attributes, foreground, background)


PLAIN = _pen("", "39", "49")


@lru_cache(maxsize=4096)
def _pen_of(style: Style, color_system: ColorSystem) -> Pen:
    parameters = Strip.render_ansi(style, color_system).split(";")
    attributes, foreground, background = [], "39", "49"
    while parameters and parameters[0]:
        first = parameters[0]
        length = _COLOR_PARTS.get(parameters[1], 1) if first in ("38", "48") and len(parameters) > 1 else 1
        taken, parameters = ";".join(parameters[:length]), parameters[length:]
        if first in _FOREGROUNDS:
            foreground = taken
        elif first in _BACKGROUNDS:
            background = taken
        else:
            attributes.append(taken)
    return _pen(";".join(attributes), foreground, background)

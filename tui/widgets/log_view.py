"""The lines of a log: wrapped, following the end or scrolled back, with the sought text marked."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import chop_cells
from rich.style import Style
from rich.text import Text

from cluster.deploy.log_tail import MARK
from tui.styles import Styles
from tui.widgets.line_view import LineView

MOST_LINES = 5000
_SPARE = 500
"""Lines above MOST_LINES that may gather before the oldest are dropped."""


class LogView(LineView):
    """Keeps the newest MOST_LINES lines."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: list[str] = []
        self._rows: list[tuple[int, str]] = []
        """(number of the line, the part of it that stands on this row)."""
        self._wrapped: tuple[int, int] = (0, 0)
        """Width and number of lines that the rows are for."""
        self.following = True
        self._sought = ""
        self._match: int | None = None
        """The line of the match that was last gone to."""

    @property
    def lines(self) -> Sequence[str]:
        """The lines that are kept."""
        return self._lines

    def add(self, lines: Sequence[str]) -> None:
        """Append lines; a view that follows moves on with them."""
        if not lines:
            return
        self._lines.extend(lines)
        excess = len(self._lines) - MOST_LINES
        if excess > _SPARE:
            self._drop(excess)
        self._show()

    def forget(self) -> None:
        """Start with an empty log."""
        self._lines, self._match, self.following = [], None, True
        self._wrapped = (0, 0)
        self.refresh()

    def follow(self) -> None:
        """Go to the end, and stay there."""
        self.following = True
        self._show()

    def scroll_lines(self, lines: int) -> None:
        """Scroll; at the end the view follows again."""
        super().scroll_lines(lines)
        self.following = self.top >= self.num_lines(self.size.width) - self.size.height

    def seek(self, text: str) -> tuple[int, int]:
        """Mark a text and go to its last match; returns what `go_to_match` does."""
        self._sought, self._match = text, None
        return self.go_to_match(-1)

    def go_to_match(self, step: int) -> tuple[int, int]:
        """Go to the next line (1) or the one before (-1) that has the text; returns (its number, how many).

        Both are 0 if no line has it.
        """
        found = [number for number, line in enumerate(self._lines) if self._has(line)]
        if not found:
            self.redraw()
            return 0, 0
        here = found.index(self._match) if self._match in found else 0 if step < 0 else -1
        place = (here + step) % len(found)
        self._match = found[place]
        self.following = False
        row = next(
            row for row, (number, _) in enumerate(self._wrap(self.size.width)) if number == self._match
        )
        self.top = row - self.size.height // 2
        self.redraw()
        return place + 1, len(found)

    def num_lines(self, width: int) -> int:
        return len(self._wrap(width))

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        number, part = self._wrap(width)[index]
        line = Text(part, _style_of(self._lines[number], styles), no_wrap=True, end="")
        lowered, sought = part.lower(), self._sought.lower()
        if sought and len(lowered) == len(part):
            place = lowered.find(sought)
            while place >= 0:
                line.stylize(styles.badge, place, place + len(sought))
                place = lowered.find(sought, place + len(sought))
        return line

    def _has(self, line: str) -> bool:
        return bool(self._sought) and self._sought.lower() in line.lower()

    def _show(self) -> None:
        if self.following:
            self.top = self.num_lines(self.size.width)
        self.redraw()

    def _drop(self, count: int) -> None:
        del self._lines[:count]
        gone = sum(1 for number, _ in self._rows if number < count)
        self._wrapped = (0, 0)
        self._match = self._match - count if self._match is not None and self._match >= count else None
        if not self.following:
            self.top -= gone

    def _wrap(self, width: int) -> list[tuple[int, str]]:
        known_width, known = self._wrapped
        if width != known_width or known > len(self._lines):
            self._rows, known = [], 0
        for number in range(known, len(self._lines)):
            parts = chop_cells(self._lines[number], max(1, width)) or [""]
            self._rows.extend((number, part) for part in parts)
        self._wrapped = (width, len(self._lines))
        return self._rows

    def on_resize(self) -> None:
        super().on_resize()
        if self.following:
            self.top = self.num_lines(self.size.width)


def _style_of(line: str, styles: Styles) -> Style:
    """Return the style of a line by the level that it begins with, as servers write it."""
    if line.startswith(MARK):
        return styles.accent
    start = line[:80]
    if "ERROR" in start or "CRITICAL" in start or "Traceback" in start:
        return styles.bad
    return styles.warning if "WARNING" in start else styles.plain

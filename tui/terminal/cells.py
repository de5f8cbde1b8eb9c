"""One line of the terminal as cells: what each shows, and in which style."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.terminal.pen import Pen

UNKNOWN = "\0"
"""The content of a cell whose state is unknown."""
_GAP_CELLS = 6
"""Unchanged cells between two changes that cost no more than moving the cursor over them."""


@dataclass(slots=True)
class CellRun:
    """Cells side by side. A wide character is one cell with its text and empty ones after it."""

    texts: list[str] = field(default_factory=list)
    pens: list[Pen] = field(default_factory=list)
    plain: bool = True
    """Every character takes exactly one cell, on every terminal."""

    def add(self, segment: Segment, pen: Pen) -> None:
        """Append a segment."""
        text = segment.text
        if _is_plain(text):
            self.texts.extend(text)
            self.pens.extend([pen] * len(text))
            return
        self.plain = False
        width = cell_len(text)
        if width:
            self.texts.extend([text, *[""] * (width - 1)])
            self.pens.extend([pen] * width)

    def changed_spans(self, old_texts: Sequence[str], old_pens: Sequence[Pen]) -> list[tuple[int, int]]:
        """Return where these cells differ from the old ones, as [start, end) with small gaps closed."""
        if self.texts == old_texts and self.pens == old_pens:
            return []
        # Where the terminal may take another width for a character, the cells beside it are uncertain too.
        if not self.plain or "" in old_texts:
            return [(0, len(self.texts))]
        spans: list[tuple[int, int]] = []
        for at, cell in enumerate(zip(self.texts, old_texts, self.pens, old_pens, strict=True)):
            if cell[0] == cell[1] and cell[2] is cell[3]:
                continue
            if spans and at - spans[-1][1] <= _GAP_CELLS:
                spans[-1] = (spans[-1][0], at + 1)
            else:
                spans.append((at, at + 1))
        return spans


@lru_cache(maxsize=8192)
def _is_plain(text: str) -> bool:
    return text.isascii() or all(cell_len(character) == 1 for character in text)


def run_of(segments: Iterable[Segment] | Strip, color_system: ColorSystem) -> CellRun:
    """Turn a strip into cells."""
    run = CellRun()
    for segment in segments:
        style = segment.style or _NO_STYLE
        pen = Pen.of(style, color_system)
        run.add(segment, pen.for_blanks() if segment.text.isspace() else pen)
    return run


_NO_STYLE = Style.null()

"""What the terminal shows, cell by cell, so that only what changed is written.

Textual writes every region that a widget asked to draw again, whole (measured on 8.2.8: 38 to 84 KB for an
arrow key). Over ssh that is lag, so an update is compared with what the terminal already shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.color import ColorSystem
from rich.console import Console
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Size
from textual.strip import Strip

from tui.terminal.cells import UNKNOWN, CellRun, run_of
from tui.terminal.pen import PLAIN, Pen

_RESET = "\x1b[0m"


class Changes(CompositorUpdate):
    """The sequences that bring the terminal up to date."""

    def __init__(self, sequences: str) -> None:
        self.sequences = sequences

    def render_segments(self, console: Console) -> str:
        return self.sequences


class Frame:
    """Remembers what was written; `forget` when the terminal may show something else."""

    def __init__(self) -> None:
        self._size = Size(0, 0)
        self._texts: list[list[str]] = []
        self._pens: list[list[Pen]] = []

    def forget(self) -> None:
        """Treat nothing as written, so that the next update writes everything."""
        self._size = Size(0, 0)

    def changes(self, update: LayoutUpdate | ChopsUpdate, size: Size, console: Console) -> Changes | None:
        """Record an update as written; return what must be written for it, None for nothing."""
        if size != self._size:
            self._size = size
            self._texts = [[UNKNOWN] * size.width for _ in range(size.height)]
            self._pens = [[PLAIN] * size.width for _ in range(size.height)]
        writer = _Writer()
        color_system = console._color_system or ColorSystem.TRUECOLOR
        for x, y, strip in placed_strips(update):
            if 0 <= y < size.height and 0 <= x < size.width:
                self._write(writer, x, y, run_of(strip, color_system))
        return Changes(writer.finished()) if writer.parts else None

    def _write(self, writer: _Writer, x: int, y: int, run: CellRun) -> None:
        """Write what differs in a run of cells, and remember it."""
        del run.texts[self._size.width - x :], run.pens[self._size.width - x :]
        end = x + len(run.texts)
        texts, pens = self._texts[y], self._pens[y]
        for first, last in run.changed_spans(texts[x:end], pens[x:end]):
            writer.move(x + first, y)
            writer.write(run.texts[first:last], run.pens[first:last])
        texts[x:end], pens[x:end] = run.texts, run.pens


class _Writer:
    """Collects sequences; tracks the cursor and the current pen."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._pen: Pen | None = None
        self._at = (-1, -1)

    def move(self, x: int, y: int) -> None:
        """Move the cursor, unless it is there."""
        if self._at != (x, y):
            self.parts.append(f"\x1b[{y + 1};{x + 1}H")
            self._at = (x, y)

    def write(self, texts: Sequence[str], pens: Sequence[Pen]) -> None:
        """Write cells from the cursor on."""
        for text, pen in zip(texts, pens, strict=True):
            if pen is not self._pen:
                self.parts.append(pen.after(self._pen))
                self._pen = pen
            self.parts.append(text)
        plain = all(len(text) == 1 and text.isascii() for text in texts)
        # Past other characters the terminal may see its cursor elsewhere.
        self._at = (self._at[0] + len(texts), self._at[1]) if plain else (-1, -1)

    def finished(self) -> str:
        """Return all sequences, ending with a reset."""
        return "".join([*self.parts, _RESET])


def placed_strips(update: LayoutUpdate | ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield each strip of an update with its place (column, line)."""
    return _chops(update) if isinstance(update, ChopsUpdate) else _lines(update)


def _lines(update: LayoutUpdate) -> Iterator[tuple[int, int, Strip]]:
    for y, strips in enumerate(update.strips, update.region.y):
        x = update.region.x
        for strip in strips:
            yield x, y, strip
            x += strip.cell_length


def _chops(update: ChopsUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield what the update's own `render_segments` would write."""
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x > last or end <= first:
                continue
            whole = last > x >= first and end <= last
            yield x, y, strip if whole else strip.crop(0, min(end, last) - x)

"""A widget that draws only the lines that are visible, however many there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.styles import Styles, styles_of

_WHEEL_LINES = 3


def cut_to(line: Text, width: int) -> None:
    """Cut a line to a width; an ellipsis marks the cut, unless only spaces were lost."""
    if line.cell_len > width:
        line.rstrip()
        line.truncate(width, overflow="ellipsis")


def _is_same(text: Text | None, other: Text | None) -> bool:
    if text is None or other is None:
        return text is other
    return text.style == other.style and text == other


class LineView(Widget):
    """Base of the map and the lists: subclasses count the lines and draw one at a time."""

    ALLOW_SELECT = False

    top: reactive[int] = reactive(0)
    """The first visible line."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: dict[int, tuple[Text | None, Strip]] = {}
        self._shown_at: tuple[object, ...] = ()

    def num_lines(self, width: int) -> int:
        """Return how many lines there are at this width."""
        raise NotImplementedError

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        """Draw one line, at most `width` cells."""
        raise NotImplementedError

    def validate_top(self, top: int) -> int:
        return max(0, min(top, self.num_lines(self.size.width) - self.size.height))

    def scroll_lines(self, lines: int) -> None:
        """Move the visible part."""
        self.top += lines

    def redraw(self, lines: Iterable[int] | None = None) -> None:
        """Draw again, and show only the lines that came out different; their number is still the same.

        With `lines`, only these have changed.
        """
        if self._shown_at != self._place():
            self.refresh()
            return
        ys = range(self.size.height) if lines is None else sorted({line - self.top for line in lines})
        for y in ys:
            if not 0 <= y < self.size.height:
                continue
            text = self._text(y)
            # Texts are compared because turning one into a strip costs more than making it.
            if y not in self._shown or not _is_same(text, self._shown[y][0]):
                self._shown[y] = (text, self._strip(text))
                self.refresh(Region(0, y, self.size.width, 1))

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, **more: bool) -> Self:
        """Draw again; without regions every line."""
        if not regions:
            self._shown_at = ()
        return super().refresh(*regions, repaint=repaint, layout=layout, **more)

    def render_line(self, y: int) -> Strip:
        if self._shown_at != self._place():
            self._shown_at = self._place()
            self._shown.clear()
        if y not in self._shown:
            text = self._text(y)
            self._shown[y] = (text, self._strip(text))
        return self._shown[y][1]

    def _place(self) -> tuple[object, ...]:
        """Return what the drawn lines depend on beside the data."""
        return (self.size, self.top, self.app.theme, self.visual_style.rich_style)

    def _text(self, y: int) -> Text | None:
        """Return what stands on a visible line; None beyond the last one."""
        width, index = self.size.width, y + self.top
        if width <= 0 or not 0 <= index < self.num_lines(width):
            return None
        line = self.draw_line(index, width, styles_of(self))
        cut_to(line, width)
        return line

    def _strip(self, line: Text | None) -> Strip:
        width, base = self.size.width, self.visual_style.rich_style
        if line is None:
            return Strip.blank(width, base)
        # Text without spans renders without its own style.
        style = base + line.style if isinstance(line.style, Style) else base
        segments = [
            Segment(segment.text, style + segment.style if segment.style else style)
            for segment in line.render(self.app.console)
        ]
        return Strip(segments).adjust_cell_length(width, base)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.num_lines(width)

    def on_resize(self) -> None:
        self.top = self.validate_top(self.top)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(_WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-_WHEEL_LINES)

"""Rich styles by meaning, for text that widgets draw line by line."""

from __future__ import annotations

from functools import lru_cache

from rich.style import Style
from rich.text import Text
from textual.widget import Widget

from tui.health_marks import MarkState
from tui.themes import BY_NAME, DARK, Palette


class Styles:
    """The styles of one palette, built once and never changed."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self.plain = Style(color=palette.text)
        self.strong = Style(color=palette.text, bold=True)
        self.muted = Style(color=palette.muted)
        self.faint = Style(color=palette.faint)
        self.accent = Style(color=palette.accent)
        self.title = Style(color=palette.accent, bold=True)
        self.used = Style(color=palette.used)
        self.planned = Style(color=palette.planned)
        self.free = Style(color=palette.free)
        self.good = Style(color=palette.good)
        self.warning = Style(color=palette.warning)
        self.bad = Style(color=palette.bad)
        self.badge = Style(color=palette.background, bgcolor=palette.warning, bold=True)
        self.cursor = Style(bgcolor=palette.raised)
        self.cursor_cell = Style(color=palette.background, bgcolor=palette.accent, bold=True, underline=True)
        self._replicas = [Style(color=color, bold=True) for color in palette.replicas]

    def of_mark(self, state: MarkState) -> Style:
        """The color of a verdict on a GPU; a sign and a word stand beside it."""
        return {
            "healthy": self.good,
            "degraded": self.warning,
            "unhealthy": self.bad,
            "left out": self.muted,
        }[state]

    def replica(self, index: int) -> Style:
        """The color of a replica; the text beside it always has the number too."""
        return self._replicas[index % len(self._replicas)]


@lru_cache(maxsize=16)
def _styles_named(name: str) -> Styles:
    return Styles(BY_NAME.get(name, DARK))


def styles_of(widget: Widget) -> Styles:
    """Return the styles of the current theme."""
    return _styles_named(widget.app.theme)


def joined(*parts: tuple[str, Style] | str) -> Text:
    """Join (text, style) pairs into one line. Nothing is ever parsed as markup."""
    line = Text(no_wrap=True, end="")
    for part in parts:
        if isinstance(part, str):
            line.append(part)
        else:
            line.append(part[0], part[1])
    return line

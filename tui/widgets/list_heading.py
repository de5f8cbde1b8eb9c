"""What stands above and below a table: its title and totals, and the row under the cursor in full."""

from __future__ import annotations

from dataclasses import dataclass

from rich.style import Style
from rich.text import Text

from tui.styles import Styles
from tui.widgets.text_panel import TextPanel


@dataclass(frozen=True, slots=True)
class HeadingWords:
    """The words of a heading."""

    title: str
    summary: str = ""
    filtered: str = ""
    """How many rows the filter leaves."""
    remark: str = ""
    """What is missing or wrong."""
    badges: tuple[str, ...] = ()
    """Where the figures come from, where that is not a connected, real cluster."""
    is_bad: bool = False
    """The remark is about a fault."""

    def style(self, styles: Styles) -> Style:
        """Return the style of the remark."""
        return styles.bad if self.is_bad else styles.warning


class ListHeading(TextPanel):
    """The title, what all rows are together, the filter, and what is missing."""

    def __init__(self) -> None:
        super().__init__()
        self._words = HeadingWords("")

    def show(self, words: HeadingWords) -> None:
        """Show other words."""
        if words != self._words:
            self._words = words
            self.changed()

    def draw(self, styles: Styles) -> Text:
        words = self._words
        line = Text().append(words.title, styles.title).append("  ")
        for badge in words.badges:
            line.append(f" {badge} ", styles.badge).append("  ")
        if words.filtered:
            line.append(f"{words.filtered}  ", styles.accent)
        line.append(words.summary, styles.muted)
        return line.append(f"\n{words.remark}", words.style(styles)) if words.remark else line


class RowDetail(TextPanel):
    """The row under the cursor in full."""

    DEFAULT_CSS = "RowDetail { height: auto; max-height: 3; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def show(self, text: str) -> None:
        """Show another text."""
        if text != self._text:
            self._text = text
            self.changed()

    def draw(self, styles: Styles) -> Text:
        return Text(self._text, styles.plain)

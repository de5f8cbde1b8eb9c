"""What stands above and below a table: its title and totals, and the row under the cursor in full."""

from __future__ import annotations

from rich.text import Text

from tui.styles import Styles
from tui.widgets.text_panel import TextPanel


class ListHeading(TextPanel):
    """The title, what all rows are together, the filter, and what is missing."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: tuple[str, str, str, str] = ("", "", "", "")

    def show(self, title: str, summary: str, filtered: str, remark: str) -> None:
        """Show other words."""
        if (title, summary, filtered, remark) != self._parts:
            self._parts = (title, summary, filtered, remark)
            self.changed()

    def draw(self, styles: Styles) -> Text:
        title, summary, filtered, remark = self._parts
        line = Text().append(title, styles.title).append(f"  {summary}", styles.muted)
        if filtered:
            line.append(f"  {filtered}", styles.accent)
        return line.append(f"\n{remark}", styles.warning) if remark else line


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

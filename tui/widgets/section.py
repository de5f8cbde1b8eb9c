"""A heading above a panel."""

from __future__ import annotations

from rich.text import Text

from tui.styles import Styles
from tui.widgets.text_panel import TextPanel


class Section(TextPanel):
    """One word or two, muted."""

    def __init__(self, title: str) -> None:
        super().__init__(classes="section")
        self._title = title

    def draw(self, styles: Styles) -> Text:
        return Text(self._title, styles.muted, no_wrap=True)

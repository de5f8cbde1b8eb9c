"""A quiet heading above a panel."""

from __future__ import annotations

from rich.text import Text

from tui.styles import Look
from tui.widgets.text_panel import TextPanel


class Section(TextPanel):
    """One word or two, muted."""

    def __init__(self, title: str) -> None:
        super().__init__(classes="section")
        self._title = title

    def draw(self, look: Look) -> Text:
        return Text(self._title, look.muted, no_wrap=True)

"""A widget whose whole text is drawn from data each time; nothing is parsed as markup."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from tui.styles import Styles, styles_of


class TextPanel(Widget):
    """Base of panels with wrapped text. Subclasses draw; `changed` draws again."""

    DEFAULT_CSS = """
    TextPanel { height: auto; }
    """

    roomy = True
    """False: use as few lines as possible."""

    def set_roomy(self, roomy: bool) -> None:
        """Choose between the long and the short form."""
        if roomy != self.roomy:
            self.roomy = roomy
            self.changed()

    def draw(self, styles: Styles) -> Text:
        """Return the panel's text."""
        raise NotImplementedError

    _measured: tuple[int, int] = (0, 0)
    """Width, and the lines that the text took at it."""

    def changed(self) -> None:
        """Draw again; lay the screen out again only when the height differs, which is the costly part."""
        before, width = self._measured, self.size.width
        self._measured = (width, self.count_lines(width) if width else 0)
        self.refresh(layout=not width or self._measured != before)

    def count_lines(self, width: int) -> int:
        """Return how many lines the text takes at a width."""
        return len(self.draw(styles_of(self)).wrap(self.app.console, width))

    def render(self) -> Text:
        return self.draw(styles_of(self))

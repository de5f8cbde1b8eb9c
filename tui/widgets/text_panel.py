"""A widget whose whole text is drawn from data each time; nothing is parsed as markup."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from tui.look import Look, look_of


class TextPanel(Widget):
    """Base of panels with wrapped text. Subclasses draw; `changed` redraws and measures again."""

    DEFAULT_CSS = """
    TextPanel { height: auto; }
    """

    roomy = True
    """False: say it in as few lines as possible."""

    def make_roomy(self, roomy: bool) -> None:
        """Choose between the long and the short form."""
        if roomy != self.roomy:
            self.roomy = roomy
            self.changed()

    def draw(self, look: Look) -> Text:
        """Return the panel's text."""
        raise NotImplementedError

    def changed(self) -> None:
        """Draw again; the height may differ."""
        self.refresh(layout=True)

    def render(self) -> Text:
        return self.draw(look_of(self))

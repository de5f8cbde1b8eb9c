"""A page of text over the whole screen that arrows scroll and escape closes."""

from __future__ import annotations

from typing import ClassVar

from rich.console import RenderableType
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.screens.dialog import Dialog
from tui.styles import Styles, styles_of


class PageBody(Widget):
    """Draws the page for the current width and theme."""

    DEFAULT_CSS = """
    PageBody { height: auto; padding: 0 1 0 0; }
    """

    def __init__(self, page: Page) -> None:
        super().__init__()
        self._page = page

    def render(self) -> RenderableType:
        return self._page.draw(styles_of(self), max(20, self.app.size.width - 10))


class Page(Dialog[None]):
    """Subclasses draw; the keys are the same everywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,q", "leave", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("home", "scroll(-100000)", show=False),
        Binding("end", "scroll(100000)", show=False),
    ]

    keys = "↑↓ scroll   escape close"
    """The line at the foot of the page."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def draw(self, styles: Styles, width: int) -> RenderableType:
        """Return the page's content."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page"):
            yield Static(Content(self._title), classes="dialog-title")
            with VerticalScroll(classes="dialog-body", can_focus=False):
                yield PageBody(self)
            yield Static(Content(self.keys), classes="dialog-keys")

    def action_scroll(self, lines: int) -> None:
        """Scroll the text."""
        for body in self.query(VerticalScroll):
            body.scroll_relative(y=lines, animate=False)

    def redraw(self) -> None:
        """Draw again, with new content."""
        for text in self.query(PageBody):
            text.refresh(layout=True)


class LivePage(Page):
    """A page about what is happening now: it is drawn again each second."""

    def on_mount(self) -> None:
        self.set_interval(1.0, self.redraw)

    def show_title(self, title: str) -> None:
        """Show another title."""
        self._title = title
        for static in self.query(".dialog-title").results(Static):
            static.update(Content(title))

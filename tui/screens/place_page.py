"""Base of the pages of a GPU and of a node: they follow one place, and arrows go to the next."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tui.place_view import neighbor
from tui.screens.page import LivePage
from tui.store import Snapshot
from tui.views import Place, ViewContext

MOST_CELLS = 142
"""A page is no wider, however wide the screen."""


class PlacePage(LivePage):
    """Shows `place`, live."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "go(-1)", show=False),
        Binding("right,l", "go(1)", show=False),
    ]

    def __init__(self, context: ViewContext, place: Place) -> None:
        self.context, self.place = context.at(place), place
        super().__init__(self.title_now())

    @property
    def snapshot(self) -> Snapshot:
        """What is known now."""
        return self.context.app.store.snapshot

    @property
    def now_s(self) -> float:
        """Unix time."""
        return self.context.app.setup.clock()

    def title_now(self) -> str:
        """Return what the page is of."""
        raise NotImplementedError

    def action_go(self, step: int) -> None:
        """Show the previous or the next place of the same kind."""
        place = neighbor(self.snapshot, self.place, step)
        if place != self.place:
            self.context, self.place = self.context.at(place), place
            self.show_title(self.title_now())
            self.redraw()
            for body in self.query(VerticalScroll):
                body.scroll_home(animate=False)

"""Base of the screens that show one table: sorted, filtered while it is typed, drawn again each second."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from tui.background import in_background
from tui.listing import Arranged, Listing, Order, arrange, column_named
from tui.pace import Pace
from tui.screens.dialog import Dialog
from tui.views import Place, ViewContext
from tui.widgets.header import badges_of
from tui.widgets.list_heading import HeadingWords, ListHeading, RowDetail
from tui.widgets.table_view import TableHead, TableView

_LOOK_S = 1.0


class ListScreen(Dialog[None]):
    """Subclasses make the listing, describe a row, and say which place it belongs to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end,G", "move(1000000)", show=False),
        Binding("right,greater_than_sign", "sort(1)", show=False),
        Binding("left,less_than_sign", "sort(-1)", show=False),
        Binding("r", "reverse", show=False),
        Binding("slash", "filter", show=False),
        Binding("enter", "open", show=False),
    ]
    AUTO_FOCUS = ""
    title_text = ""
    keys_text = "↑↓ row   ←→ sort   r reverse   / filter   enter open   esc close"
    filter_hint = "words"
    empty_text = ""

    def __init__(self, context: ViewContext, order: Order) -> None:
        super().__init__()
        self.view_context = context
        self._order = order
        self._typed = ""
        self._listing: Listing | None = None
        self._pace = Pace()

    def make_listing(self) -> Listing:
        """Return all rows as of now. Runs in a thread of its own."""
        raise NotImplementedError

    def key_of(self, row: Any) -> Hashable:
        """Return what tells a row apart from others."""
        key: Hashable = row.key
        return key

    def describe(self, row: Any) -> str:
        """Return a row in full."""
        raise NotImplementedError

    def place_of(self, row: Any) -> Place | None:
        """Return the node or GPU that a row belongs to; None for neither."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog page list"):
            yield ListHeading()
            yield TableHead()
            yield TableView(self.key_of)
            yield RowDetail()
            yield Input(placeholder=self.filter_hint, classes="list-filter")
            yield Static(Content(self.keys_text), classes="dialog-keys")

    def on_mount(self) -> None:
        self.look()
        self.set_interval(_LOOK_S, self._look_again)

    def _look_again(self) -> None:
        """Look, unless a look is still under way, or has just taken long: keys come first."""
        if self._pace.is_due and not any(one.group == "look" and one.is_running for one in self.workers):
            self.look()

    @work(group="look", exclusive=True)
    async def look(self, fresh: bool = True) -> None:
        """Make, sort and filter the listing: on thousands of GPUs that takes longer than a key may."""
        if fresh or self._listing is None:
            with self._pace.look():
                self._listing = await in_background(self.make_listing)
        self._show(await in_background(arrange, self._listing, self._order, self._typed))

    def _show(self, arranged: Arranged) -> None:
        listing, rows = arranged.listing, arranged.rows
        for view in self.query(TableView):
            view.show(listing.columns, rows)
        for head in self.query(TableHead):
            head.show(listing.columns, arranged.order.name, arranged.order.down)
        for heading in self.query(ListHeading):
            typed, count = arranged.typed, f"{len(rows):,} of {len(listing.rows):,}"
            filtered = f"{count} match '{typed}'" if typed and not arranged.complaint else ""
            remark = arranged.complaint or listing.remark
            summary = listing.summary or self.empty_text
            badges = tuple(badges_of(self.view_context.app.store.snapshot))
            heading.show(HeadingWords(self.title_text, summary, filtered, remark, badges))
        self._show_detail()

    def _show_detail(self) -> None:
        for view in self.query(TableView):
            row = view.selected
            for detail in self.query(RowDetail):
                detail.show("" if row is None else self.describe(row))

    def on_table_view_moved(self) -> None:
        self._show_detail()

    def on_table_view_opened(self) -> None:
        self.action_open()

    def on_table_head_clicked(self, message: TableHead.Clicked) -> None:
        """Sort by the clicked column; a second click reverses."""
        if message.name == self._order.name:
            self.action_reverse()
        else:
            self._sort_by(message.name)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._typed = event.value.strip()
        self.look(fresh=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self._end_filter(event.input)

    def _end_filter(self, box: Input) -> None:
        box.display = False
        self.set_focus(None)

    def action_leave(self) -> None:
        """Leave the filter, then drop it, then the screen."""
        box = next(iter(self.query(Input)), None)
        if box is not None and (box.has_focus or self._typed):
            box.value = ""
            self._end_filter(box)
        else:
            super().action_leave()

    def action_filter(self) -> None:
        """Open the line in which the filter is typed."""
        for box in self.query(Input):
            box.display = True
            box.focus()

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        for view in self.query(TableView):
            view.move(lines)

    def action_page(self, pages: int) -> None:
        """Move the cursor by what is visible."""
        for view in self.query(TableView):
            view.move(pages * max(1, view.size.height - 1))

    def action_sort(self, step: int) -> None:
        """Sort by the next column that is on screen, or the one before."""
        if self._listing is not None:
            names = [item.name for item in self._listing.columns if self.size.width >= item.from_cells]
            here = names.index(self._order.name) if self._order.name in names else -step
            self._sort_by(names[(here + step) % len(names)])

    def _sort_by(self, name: str) -> None:
        if self._listing is not None:
            self._order = Order(name, column_named(self._listing.columns, name).right)
            self.look(fresh=False)

    def action_reverse(self) -> None:
        """Turn the order around."""
        self._order = replace(self._order, down=not self._order.down)
        self.look(fresh=False)

    def action_open(self) -> None:
        """Open the page of the row's GPU or node."""
        for view in self.query(TableView):
            place = None if view.selected is None else self.place_of(view.selected)
            if place is not None:
                open_place(self, place)


def open_place(screen: ListScreen, place: Place) -> None:
    """Open the page of a node or GPU over a view."""
    from tui.screens.gpu_page import page_of

    screen.app.push_screen(page_of(screen.view_context.at(place)))

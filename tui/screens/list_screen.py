"""Base of the screens that show one table: sorted, filtered while it is typed, drawn again each second."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from cluster.errors import BadInput
from tui.background import in_background
from tui.row_filter import Fields, Filter, parse_filter
from tui.screens.dialog import Dialog
from tui.styles import Styles
from tui.table import Column, in_order
from tui.views import Place, ViewContext
from tui.widgets.table_view import TableHead, TableView
from tui.widgets.text_panel import TextPanel

_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Listing:
    """A table at one moment."""

    columns: Sequence[Column[Any]]
    rows: Sequence[Any]
    fields: Fields[Any]
    summary: str = ""
    """What all rows together are, for the heading."""
    remark: str = ""
    """What is missing, as a warning."""


@dataclass(frozen=True, slots=True)
class Order:
    """By which column a table is sorted."""

    name: str
    down: bool = False


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
        return line.append(f"  {remark}", styles.warning) if remark else line


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
    title_text = ""
    keys_text = "↑↓ row   ←→ sort by   r reverse   / filter   enter open GPU   esc close"
    filter_hint = "words"
    empty_text = ""

    def __init__(self, context: ViewContext, order: Order) -> None:
        super().__init__()
        self.view_context = context
        self._order = order
        self._typed = ""
        self._complaint = ""
        self._listing: Listing | None = None

    def make_listing(self) -> Listing:
        """Return all rows as of now. Runs in a thread of its own."""
        raise NotImplementedError

    def key_of(self, row: Any) -> Hashable:
        """Return what tells a row apart from others."""
        return row.key

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
        self.query_one(Input).display = False
        self.look()
        self.set_interval(_LOOK_S, self.look)

    @work(group="look", exclusive=True, exit_on_error=False)
    async def look(self) -> None:
        """Make the listing again: on thousands of GPUs it takes longer than a key may."""
        self._listing = await in_background(self.make_listing)
        self.draw_listing()

    def draw_listing(self) -> None:
        """Sort, filter and show what was listed last."""
        listing = self._listing
        if listing is None:
            return
        column = _column_named(listing.columns, self._order.name)
        rows = self._filter(listing.fields).kept(listing.rows)
        rows = in_order(rows, column.key, self._order.down)
        for view in self.query(TableView):
            view.show(listing.columns, rows)
        for head in self.query(TableHead):
            head.show(listing.columns, column.name, self._order.down)
        for heading in self.query(ListHeading):
            filtered = f"{len(rows):,} of {len(listing.rows):,} match '{self._typed}'" if self._typed else ""
            remark = self._complaint or listing.remark
            heading.show(self.title_text, listing.summary or self.empty_text, filtered, remark)
        self._show_detail()

    def _filter(self, fields: Fields[Any]) -> Filter[Any]:
        try:
            found: Filter[Any] = parse_filter(self._typed, fields)
        except BadInput as error:
            # Half of a condition while it is typed: the others hold.
            self._complaint = error.one_line()
            return Filter()
        self._complaint = ""
        return found

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
        self.draw_listing()

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
            self._order = Order(name, _column_named(self._listing.columns, name).right)
            self.draw_listing()

    def action_reverse(self) -> None:
        """Turn the order around."""
        self._order = replace(self._order, down=not self._order.down)
        self.draw_listing()

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


def _column_named(columns: Sequence[Column[Any]], name: str) -> Column[Any]:
    return next((column for column in columns if column.name == name), columns[0])

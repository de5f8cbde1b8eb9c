"""What has happened since the screen was opened, the newest first."""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any, ClassVar

from rich.style import Style
from textual.binding import Binding, BindingType

from cluster.incidents.incident import Incident, Severity
from cluster.units import count_of
from tui.format import age
from tui.glyphs import CROSS, DOT, TICK, TROUBLE
from tui.listing import Listing, Order
from tui.row_filter import Fields
from tui.screens.list_screen import ListScreen
from tui.styles import Styles
from tui.table import Column
from tui.views import Place, ViewContext

SIGNS: dict[Severity, str] = {"good": TICK, "info": DOT, "warning": TROUBLE, "bad": CROSS}
_DAY_S = 86_400


def clock_time(at_s: float, now_s: float) -> str:
    """Format a moment in local time: '14:03:07', with the date where it is not within a day."""
    shape = "%H:%M:%S" if abs(now_s - at_s) < _DAY_S else "%m-%d %H:%M"
    try:
        return time.strftime(shape, time.localtime(at_s))
    except (OverflowError, OSError, ValueError):  # a node whose clock is far off
        return "?"


def _style(row: Incident, styles: Styles) -> Style:
    return {"good": styles.good, "info": styles.muted, "warning": styles.warning, "bad": styles.bad}[
        row.severity
    ]


FIELDS: Fields[Incident] = Fields(
    text=lambda row: f"{row.where} {row.kind} {row.severity} {_words(row)}",
    named={
        "where": lambda row: row.where,
        "kind": lambda row: row.kind,
        "severity": lambda row: row.severity,
    },
)


class IncidentsScreen(ListScreen):
    """Opening it marks everything as seen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("E", "leave", show=False)]
    title_text = "Events"
    empty_text = "Nothing has happened since this screen was opened."
    filter_hint = "words, !words, kind=xid, severity=bad, where=node-3"

    def __init__(self, context: ViewContext) -> None:
        super().__init__(context, Order("time", down=True))

    def make_listing(self) -> Listing:
        app = self.view_context.app
        log, now_s = app.store.incidents, app.setup.clock()
        log.mark_seen()
        incidents = log.incidents
        dropped = f" ({log.num_dropped:,} older ones are no longer kept)" if log.num_dropped else ""
        summary = f"{count_of(len(incidents), 'event')}{dropped}" if incidents else ""
        return Listing(columns(now_s), incidents, FIELDS, summary)

    def key_of(self, row: Incident) -> Hashable:
        return row

    def describe(self, row: Any) -> str:
        """Return an incident in full."""
        return f"{clock_time(row.at_s, self.view_context.app.setup.clock())} {row.where}: {_words(row)}"

    def place_of(self, row: Any) -> Place | None:
        return None if row.node_id is None else Place(row.node_id, row.gpu_uuid)


def columns(now_s: float) -> tuple[Column[Incident], ...]:
    """Return the columns for this moment."""
    return (
        Column("time", 11, lambda row: clock_time(row.at_s, now_s), lambda row: row.at_s),
        Column("ago", 6, lambda row: age(now_s - row.at_s), lambda row: row.at_s, from_cells=100),
        Column("kind", 12, _sign, lambda row: row.kind, style=_style),
        Column("where", 18, lambda row: row.where, lambda row: row.where),
        Column("what", 20, _words, lambda row: row.text, takes_rest=True, style=_style),
    )


def _sign(row: Incident) -> str:
    return f"{SIGNS[row.severity]} {row.kind}"


def _words(row: Incident) -> str:
    return f"{row.text} (at the start)" if row.at_start else row.text

"""A table that can be sorted and filtered, at one moment. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cluster.errors import BadInput
from tui.row_filter import Fields, parse_filter
from tui.table import Column, in_order


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


@dataclass(frozen=True, slots=True)
class Arranged:
    """A listing, sorted and filtered."""

    listing: Listing
    rows: Sequence[Any]
    order: Order
    typed: str
    complaint: str = ""
    """What is wrong with the filter, which then keeps everything."""


def arrange(listing: Listing, order: Order, typed: str) -> Arranged:
    """Sort and filter a listing. A column that is not there counts as the first."""
    column = column_named(listing.columns, order.name)
    order, complaint = Order(column.name, order.down), ""
    try:
        rows = parse_filter(typed, listing.fields).kept(listing.rows)
    except BadInput as error:
        # Half of a condition, while it is typed.
        rows, complaint = listing.rows, error.one_line()
    return Arranged(listing, in_order(rows, column.key, order.down), order, typed, complaint)


def column_named(columns: Sequence[Column[Any]], name: str) -> Column[Any]:
    """Return the column with a name, else the first."""
    return next((column for column in columns if column.name == name), columns[0])

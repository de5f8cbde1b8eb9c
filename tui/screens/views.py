"""The views that keys of the main screen open, in the order of the key bar and the help page."""

from __future__ import annotations

from tui.views import View

VIEWS: tuple[View, ...] = ()
"""Add a view here: its key, its words in the key bar and on the help page follow from it."""


def view_named(name: str) -> View | None:
    """Return the view with this name; None where there is none."""
    return next((view for view in VIEWS if view.name == name), None)

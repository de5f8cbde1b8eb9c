"""What a view is: a screen of its own that a key of the main screen opens, and what it may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from textual.screen import Screen

from cluster.planner.result import Candidate, Plan
from tui.context import AppContext


@dataclass(frozen=True, slots=True)
class Place:
    """A node on the map, or one of its GPUs."""

    node_id: str
    gpu_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class ViewContext:
    """What a view is opened with. `app.store.snapshot` is always the newest; the rest is as of the key."""

    app: AppContext
    plan: Plan | None = None
    candidate: Candidate | None = None
    """The highlighted layout."""
    place: Place | None = None
    """Where the map's cursor is; None while it is not on the map."""

    def at(self, place: Place) -> ViewContext:
        """Return the same context for another place."""
        return replace(self, place=place)


@dataclass(frozen=True, slots=True)
class View:
    """A view and its key."""

    name: str
    """Unique; the parameter of the action `open_view`."""
    key: str
    """As Textual names it."""
    label: str
    """One word for the key bar."""
    help: str
    """What the key does, for the help page."""
    open: Callable[[ViewContext], Screen[Any]]
    show: bool = True
    """Whether the key bar has it."""

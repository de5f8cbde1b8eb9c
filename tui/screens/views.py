"""The views that keys of the main screen open, in the order of the key bar and the help page."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from tui.views import View, ViewContext


def _processes(context: ViewContext) -> Screen[Any]:
    from tui.screens.processes import ProcessesScreen

    return ProcessesScreen(context)


def _topology(context: ViewContext) -> Screen[Any]:
    from tui.screens.topology import TopologyScreen

    return TopologyScreen(context)


def _events(context: ViewContext) -> Screen[Any]:
    from tui.screens.incidents import IncidentsScreen

    return IncidentsScreen(context)


# Imported with the first press of their keys, which keeps the start short.
VIEWS: tuple[View, ...] = (
    View("processes", "P", "Processes", "all processes on all GPUs: who uses which memory", _processes),
    View("topology", "T", "Topology", "islands, links, NUMA, paths, and what the layout sends", _topology),
    View("events", "E", "Events", "what has happened: nodes, health, Xids, links, deployments", _events),
)
"""Add a view here: its key, its words in the key bar and on the help page follow from it."""


def view_named(name: str) -> View | None:
    """Return the view with this name; None where there is none."""
    return next((view for view in VIEWS if view.name == name), None)

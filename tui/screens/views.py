"""The views that keys of the main screen open, in the order of the key bar and the help page."""

from __future__ import annotations

from tui.screens.incidents import IncidentsScreen
from tui.screens.processes import ProcessesScreen
from tui.screens.topology import TopologyScreen
from tui.views import View

VIEWS: tuple[View, ...] = (
    View("processes", "P", "Processes", "all processes on all GPUs: who uses which memory", ProcessesScreen),
    View(
        "topology", "T", "Topology", "islands, links, NUMA, paths, and what the layout sends", TopologyScreen
    ),
    View(
        "events", "E", "Events", "what has happened: nodes, health, Xids, links, deployments", IncidentsScreen
    ),
)
"""Add a view here: its key, its words in the key bar and on the help page follow from it."""


def view_named(name: str) -> View | None:
    """Return the view with this name; None where there is none."""
    return next((view for view in VIEWS if view.name == name), None)

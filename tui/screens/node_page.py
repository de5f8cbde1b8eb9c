"""A node's page: its state, its host, its GPUs, its ports and engines."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from tui.node_figures import node_figures
from tui.place_view import NodeView, node_view
from tui.roles import PlannedRoles, Role, live_roles
from tui.screens.place_page import MOST_CELLS, PlacePage
from tui.styles import Styles
from tui.widgets.figure_table import figure_table
from tui.widgets.node_sections import engines_section, gpus_section, ports_section, state_section


class NodePage(PlacePage):
    """Everything known of one node."""

    keys = "↑↓ scroll   ←→ previous and next node   escape close"

    def title_now(self) -> str:
        """Return the node's name."""
        view = self._view()
        return view.node.name if view is not None else "The node is gone"

    def _view(self) -> NodeView | None:
        return node_view(self.snapshot, self.place.node_id, self.now_s)

    def draw(self, styles: Styles, width: int) -> RenderableType:
        view, width = self._view(), min(width, MOST_CELLS)
        if view is None:
            return Text("This node is no longer part of the cluster.", styles.muted)
        host = view.reading.host if view.reading is not None else None
        why_no_host = "not read on this node" if view.reading is not None else view.why_not
        return Group(
            state_section(view, styles),
            gpus_section(view, self._roles(view), styles),
            figure_table(node_figures(view.node, host, why_no_host), width, styles),
            ports_section(view, styles),
            engines_section(view, styles),
        )

    def _roles(self, view: NodeView) -> dict[str, Role]:
        candidate, live = self.context.candidate, live_roles(self.snapshot.deployments)
        planned = PlannedRoles(candidate) if candidate is not None else {}
        roles = {gpu.uuid: live.get(gpu.uuid) or planned.get(gpu.uuid) for gpu in view.node.gpus}
        return {uuid: role for uuid, role in roles.items() if role is not None}

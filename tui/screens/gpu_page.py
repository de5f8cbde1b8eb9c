"""A GPU's page: its health, what uses it, its curves, every figure, its links and its processes."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.screen import Screen

from cluster.inventory import Gpu
from tui.gpu_figures import gpu_figures
from tui.place_view import NodeView, node_view
from tui.screens.node_page import NodePage
from tui.screens.place_page import MOST_CELLS, PlacePage
from tui.styles import Styles
from tui.views import Place, ViewContext
from tui.widgets.figure_table import figure_table
from tui.widgets.gpu_sections import (
    curves_section,
    health_section,
    links_section,
    processes_section,
    use_section,
    xids_section,
)


class GpuPage(PlacePage):
    """Everything known of one GPU."""

    keys = "↑↓ scroll   ←→ previous and next GPU   n node   escape close"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("n", "open_node", show=False)]

    def title_now(self) -> str:
        """Name the GPU, its node and its type."""
        view, gpu = self._found()
        return f"{view.node.name}  GPU {gpu.index}  {gpu.type}" if view and gpu else "The GPU is gone"

    def _found(self) -> tuple[NodeView | None, Gpu | None]:
        view = node_view(self.snapshot, self.place.node_id, self.now_s)
        gpus = view.node.gpus if view is not None else ()
        return view, next((gpu for gpu in gpus if gpu.uuid == self.place.gpu_uuid), None)

    def draw(self, styles: Styles, width: int) -> RenderableType:
        (view, gpu), width = self._found(), min(width, MOST_CELLS)
        if view is None or gpu is None:
            return Text("This GPU is no longer part of the cluster.", styles.muted)
        context, reading, detail = self.context, view.gpu_reading(gpu), view.gpu_detail(gpu)
        figures = gpu_figures(gpu, reading, detail, view.why_not, view.why_not)
        return Group(
            health_section(view, gpu, styles),
            use_section(self.snapshot, context.plan, context.candidate, gpu, styles),
            processes_section(view, gpu, styles),
            curves_section(context.app.store.curve, view, gpu, width, styles),
            figure_table(figures, width, styles),
            links_section(view, gpu, styles),
            xids_section(view, gpu, self.now_s, styles),
        )

    def action_open_node(self) -> None:
        """Open the page of the GPU's node."""
        self.app.push_screen(NodePage(self.context, Place(self.place.node_id)))


def page_of(context: ViewContext) -> Screen[Any]:
    """Return the page of the context's place, a GPU or a node. Raises ValueError without a place."""
    if context.place is None:
        raise ValueError("there is no place to open")
    kind = NodePage if context.place.gpu_uuid is None else GpuPage
    return kind(context, context.place)

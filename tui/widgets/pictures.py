"""The highlighted layout as pictures: one replica's tensor parallelism, and its replicas behind a router."""

from __future__ import annotations

from rich.text import Text
from textual.geometry import Size

from cluster.catalog.model_spec import ModelSpec
from cluster.planner.result import Candidate
from tui.diagrams import data_parallel_picture, tensor_parallel_picture
from tui.styles import Styles
from tui.widgets.text_panel import TextPanel


class Pictures(TextPanel):
    """Redrawn whenever the cursor moves."""

    DEFAULT_CSS = """
    Pictures { margin: 1 0 0 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._candidate: Candidate | None = None
        self._model: ModelSpec | None = None
        self._tallest = 0

    def show(self, candidate: Candidate | None, model: ModelSpec) -> None:
        """Draw a layout; one that was rejected has no placement and no picture."""
        if model is not self._model:
            self._tallest = 0
        self._candidate, self._model = candidate, model
        self.changed()

    def count_lines(self, width: int) -> int:
        # The room of the tallest picture stays, so that the cursor does not lay the screen out at each step.
        self._tallest = max(self._tallest, super().count_lines(width))
        return self._tallest

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.count_lines(width)

    def draw(self, styles: Styles) -> Text:
        candidate, model = self._candidate, self._model
        if candidate is None or model is None or not candidate.placement:
            return Text()
        width = max(30, self.app.size.width // 2 - 8)
        text = Text()
        if candidate.layout.tp > 1:
            text.append_text(tensor_parallel_picture(candidate, model, width, styles)).append("\n\n")
        return text.append_text(data_parallel_picture(candidate, width, styles))

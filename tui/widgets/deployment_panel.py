"""The deployments on this cluster: the selected one in full, the others on one line each."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from cluster.deploy.status import DeploymentStatus
from tui.glyphs import CURSOR, ROLE_PLANNED
from tui.styles import Styles, styles_of
from tui.widgets.deployment_text import deployment_lines, title_line
from tui.widgets.line_view import LineView

_MARGIN = 2
_NOTHING = "No deployments. Press d to deploy the highlighted layout."


class DeploymentPanel(LineView):
    """Keeps the selection by name."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._deployments: tuple[DeploymentStatus, ...] = ()
        self._used_bytes: Mapping[str, int] = {}
        self._ordered = ""
        self._lines: dict[tuple[int, str, int], list[Text]] = {}
        self.selected_name: str | None = None

    @property
    def selected(self) -> DeploymentStatus | None:
        """The deployment that keys act on."""
        return next((item for item in self._deployments if item.name == self.selected_name), None)

    def show(
        self, deployments: tuple[DeploymentStatus, ...], used_bytes: Mapping[str, int], ordered: str = ""
    ) -> None:
        """Show the current deployments.

        `used_bytes` is what NVML reads of each GPU that a deployment holds; `ordered` names a deployment that
        does not show yet.
        """
        if (deployments, used_bytes, ordered) == (self._deployments, self._used_bytes, self._ordered):
            return
        self._used_bytes, self._ordered = used_bytes, ordered
        known = {item.name for item in self._deployments}
        self._deployments = deployments
        names = [item.name for item in deployments]
        fresh = [name for name in names if name not in known]
        if fresh:
            self.selected_name = fresh[-1]
        elif self.selected_name not in names:
            self.selected_name = names[-1] if names else None
        self._lines.clear()
        self.redraw()

    def select_next(self) -> None:
        """Select the next deployment."""
        names = [item.name for item in self._deployments]
        if names:
            position = names.index(self.selected_name) if self.selected_name in names else -1
            self.selected_name = names[(position + 1) % len(names)]
            self._lines.clear()
            self.redraw()

    def num_lines(self, width: int) -> int:
        return len(self._drawn(width, self.app.theme, None))

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        lines = self._drawn(width, self.app.theme, styles)
        below = len(lines) - index
        if below > 1 and index == self.top + self.size.height - 1:
            return Text(f"  {below:,} more lines (page down)", styles.muted, end="")
        return lines[index].copy()

    def _drawn(self, width: int, theme: str, styles: Styles | None) -> list[Text]:
        key = (width, theme, self.size.height)
        if key not in self._lines:
            self._lines[key] = self._all_lines(width, styles or styles_of(self))
        return self._lines[key]

    def _all_lines(self, width: int, styles: Styles) -> list[Text]:
        lines: list[Text] = []
        if self._ordered and self._ordered not in {status.name for status in self._deployments}:
            line = Text(f"{ROLE_PLANNED} submitted", styles.accent, no_wrap=True, end="")
            lines.append(_indented(line.append(f"  {self._ordered}", styles.strong), "  "))
        elif not self._deployments:
            return [Text(_NOTHING, styles.muted, end="")]
        for status in self._deployments:
            if status.name != self.selected_name:
                lines.append(_indented(title_line(status, styles), "  "))
                continue
            room = self.size.height - len(self._deployments) + 1
            drawn = deployment_lines(status, self._used_bytes, width - _MARGIN, styles, room)
            mark = f"{CURSOR} " if len(self._deployments) > 1 else "  "
            lines.append(_indented(drawn[0], mark))
            lines.extend(_indented(line, "  ") for line in drawn[1:])
        return lines


def _indented(line: Text, mark: str) -> Text:
    indented = Text(mark, no_wrap=True, end="")
    indented.append_text(line)
    return indented

"""No GPUs found: what to run instead."""

from __future__ import annotations

from rich.text import Text

from cluster.cluster_spec import EXAMPLE
from tui.store import Snapshot
from tui.styles import Styles
from tui.widgets.text_panel import TextPanel

_OPTIONS = (
    ("--address HOST:6379", "a running Ray cluster"),
    ("--cluster 2x8xH100", "a cluster spec, for planning"),
    ("--cluster FILE", "a saved snapshot, for planning"),
)


class EmptyState(TextPanel):
    """Says why there is nothing to show, and what to do."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._reason = ""
        self._simulated_name = ""

    def show(self, snapshot: Snapshot, simulated_name: str) -> None:
        """Show why there are no GPUs; `simulated_name` is the cluster that a key opens."""
        nodes = snapshot.cluster.nodes if snapshot.cluster is not None else ()
        reason = next((node.error for node in nodes if node.error), "")
        if (reason, simulated_name) != (self._reason, self._simulated_name):
            self._reason, self._simulated_name = reason, simulated_name
            self.changed()

    def draw(self, styles: Styles) -> Text:
        text = Text("\n")
        text.append("No GPUs found.\n", styles.title)
        if self._reason:
            text.append(f"{self._reason}\n", styles.muted)
        if self._simulated_name:
            text.append("\ns ", styles.accent)
            text.append(f"opens a simulated {self._simulated_name} cluster\n", styles.plain)
        text.append("\nOr quit (q) and run clusterview with one of:\n\n", styles.plain)
        simulate = (
            f"--simulate {self._simulated_name or EXAMPLE}",
            "real actors on this machine, SIMULATED GPUs",
        )
        for option, meaning in (simulate, *_OPTIONS):
            text.append(f"  {option:<28}", styles.strong).append(f"{meaning}\n", styles.muted)
        return text

"""One line at the top: what this is, where the cluster comes from, how big it is."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text

from cluster.incidents.log import IncidentLog
from cluster.inventory import Cluster
from cluster.units import count_of, format_bytes
from tui.glyphs import DOT
from tui.health_marks import HealthCounter, Mark
from tui.store import Snapshot
from tui.styles import Styles, styles_of
from tui.widgets.node_line import marks_text
from tui.widgets.text_panel import TextPanel

_ROOMY_CELLS = 100


class Header(TextPanel):
    """The program's name, a SIMULATED badge where it applies, the source, totals and what is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self._snapshot = Snapshot()
        self._counter = HealthCounter()
        self._totals = ""
        self._wrong: tuple[Mark, ...] = ()
        """What is counted over all GPUs, once for each snapshot."""
        self._unseen = (0, 0)
        """Events that nobody has looked at, and how many of them are bad."""

    def show(self, snapshot: Snapshot, title: str) -> None:
        """Show another snapshot of the session with this title."""
        if snapshot is not self._snapshot or title != self.title:
            if snapshot.cluster is not self._snapshot.cluster:
                self._totals = describe_totals(snapshot.cluster) if snapshot.cluster is not None else ""
            self._snapshot, self.title = snapshot, title
            self._wrong = self._counter.count(snapshot)
            self.refresh()

    def show_unseen(self, log: IncidentLog) -> None:
        """Show how many events nobody has looked at."""
        unseen = (log.num_unseen, log.num_bad_unseen)
        if unseen != self._unseen:
            self._unseen = unseen
            self.refresh()

    def draw(self, styles: Styles) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis")
        line.append("clusterview", styles.title).append("  ")
        for badge in badges_of(self._snapshot):
            line.append(f" {badge} ", styles.badge).append("  ")
        style = styles.bad if self._unseen[1] else styles.accent
        line.append(unseen_text(*self._unseen, self.size.width), style)
        self._append_totals(line, styles)
        return line

    def _append_totals(self, line: Text, styles: Styles) -> None:
        """Append the source, the totals and what is wrong; that stays longest where room is short."""
        health, totals = marks_text(self._wrong, styles), self._totals
        room = self.size.width - cell_len(line.plain) - 1
        title = self.title
        if self._snapshot.simulated and title.lower().startswith("simulated "):
            title = title[len("simulated ") :]
        if health.plain:
            room -= cell_len(health.plain) + 2
        if cell_len(title) + cell_len(totals) + 3 > room:
            title = "" if totals else title
            totals = totals if cell_len(totals) <= room or not health.plain else ""
        line.append(title, styles.plain)
        line.append(" " * (room - cell_len(title) - cell_len(totals)) if title else "")
        line.append(totals, styles.muted if title else styles.plain)
        line.append("  " if health.plain and (title or totals) else "").append_text(health)

    def render(self) -> Text:
        return self.draw(styles_of(self))


def badges_of(snapshot: Snapshot) -> list[str]:
    """Return what every page must say of where its figures come from."""
    badges = []
    if snapshot.simulated:
        badges.append("SIMULATED")
    elif any(status.weights == "dummy" for status in snapshot.deployments):
        # On a simulated cluster nobody expects real answers.
        badges.append("DUMMY WEIGHTS")
    if snapshot.disconnected:
        badges.append("RECONNECTING" if snapshot.interrupted else "NOT CONNECTED")
    return badges


def unseen_text(count: int, bad: int, width: int) -> str:
    """Describe how many events are new and bad, and the key that shows them; '' for none."""
    if not count:
        return ""
    what = count_of(count, "new event") if width >= _ROOMY_CELLS else f"{count:,} new"
    return f"E {what}, {bad:,} bad  " if bad else f"E {what}  "


def describe_totals(cluster: Cluster) -> str:
    """Describe a cluster's size: '2 nodes · 8 GPUs · 634.0 GiB'."""
    sizes = [gpu.memory_total_bytes for node in cluster.nodes for gpu in node.gpus]
    known = [size for size in sizes if size is not None]
    parts = [count_of(len(cluster.nodes), "node"), count_of(cluster.num_gpus, "GPU")]
    if known:
        parts.append(format_bytes(sum(known), 0))
    return f" {DOT} ".join(parts)

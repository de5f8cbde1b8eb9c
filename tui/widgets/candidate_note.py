"""The highlighted layout in a few lines: why it ranks where it does, and what it costs."""

from __future__ import annotations

from rich.text import Text
from textual.geometry import Size

from cluster.planner.layout import Layout
from cluster.planner.reasons.describe import describe_traffic
from cluster.planner.result import Candidate, Estimate, RankMemory
from cluster.units import in_tenths
from tui.format import duration_band, gib
from tui.glyphs import ARROW, CROSS, DOT
from tui.styles import Styles, styles_of
from tui.widgets.text_panel import TextPanel


class CandidateNote(TextPanel):
    """Why, memory by part, KV cache, communication; for a rejected layout the rules and fixes."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._candidate: Candidate | None = None
        self._advice: tuple[str, ...] = ()
        self._not_runnable = ""
        self._room = 2

    def set_max_lines(self, lines: int) -> None:
        """Set how many lines the note may take; the details page has the rest."""
        if lines != self._room:
            self._room = lines
            self.changed()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return min(self._room, len(self._wrapped(width)))

    def render(self) -> Text:
        lines = self._wrapped(self.size.width)
        if len(lines) > self._room:
            last = lines[self._room - 1]
            if last.cell_len > self.size.width - 2:
                last.right_crop(len(last.plain) - max(0, last.plain.rfind(" ", 0, self.size.width - 2)))
            last.append(" …")
        return Text("\n").join(lines[: self._room])

    def _wrapped(self, width: int) -> list[Text]:
        return list(self.draw(styles_of(self)).wrap(self.app.console, max(1, width)))

    def show(self, candidate: Candidate | None, advice: tuple[str, ...] = (), not_runnable: str = "") -> None:
        """Show a layout.

        `advice` is what would make something fit when nothing does, `not_runnable` why the layout cannot be
        deployed although it fits.
        """
        self._candidate, self._advice, self._not_runnable = candidate, advice, not_runnable
        self.changed()

    def draw(self, styles: Styles) -> Text:
        candidate = self._candidate
        text = Text()
        for line in self._advice:
            text.append(f"{ARROW} ", styles.accent).append(f"{line}\n", styles.plain)
        if self._not_runnable:
            text.append(f"{CROSS} d cannot deploy this: {self._not_runnable}\n", styles.warning)
        if candidate is not None:
            note = feasible_note if candidate.feasible else rejected_note
            text.append_text(note(candidate, styles))
        text.rstrip()
        return text


def rejected_note(candidate: Candidate, styles: Styles) -> Text:
    """Draw every rule that a layout breaks, with its fix."""
    text = Text()
    for rejection in candidate.rejections:
        if text.plain:
            text.append("\n")
        text.append(f"{CROSS} {rejection.rule.replace('_', ' ')}: ", styles.bad)
        text.append(rejection.message, styles.plain)
        if rejection.fix:
            text.append(f"  {ARROW} ", styles.accent).append(rejection.fix, styles.plain)
    if not candidate.rejections:
        text.append(candidate.why, styles.plain)
    return text


def feasible_note(candidate: Candidate, styles: Styles) -> Text:
    """Draw why a layout ranks where it does, its memory, KV cache and all-reduces."""
    text = Text(candidate.why, styles.plain)
    if candidate.memory_per_gpu is not None:
        text.append("\n").append_text(memory_line(candidate.memory_per_gpu, styles))
    room = []
    if candidate.kv_cache_tokens is not None:
        room.append(f"KV cache {candidate.kv_cache_tokens:,} tokens per replica")
    if candidate.max_concurrency is not None:
        room.append(f"{in_tenths(candidate.max_concurrency)} full-length requests")
    if room:
        text.append("\n" + f" {DOT} ".join(room), styles.muted)
    if candidate.estimate is not None:
        text.append("\n" + communication_line(candidate.layout, candidate.estimate), styles.muted)
    for note in candidate.notes:
        text.append(f"\n{note}", styles.muted)
    return text


def memory_line(memory: RankMemory, styles: Styles) -> Text:
    """Draw the tightest GPU's memory by part in GiB."""
    parts = (
        ("weights", memory.weights_bytes),
        ("KV", memory.kv_cache_bytes),
        ("activations", memory.activation_bytes),
        ("graphs", memory.cuda_graph_bytes),
        ("other", memory.non_torch_bytes),
    )
    line = Text()
    for position, (name, size) in enumerate(parts):
        line.append(f" {DOT} " if position else "", styles.faint)
        line.append(f"{name} ", styles.muted).append(gib(size), styles.plain)
    return line.append(f" of {gib(memory.budget_bytes)} GiB", styles.muted)


def communication_line(layout: Layout, estimate: Estimate) -> str:
    """Describe the traffic between ranks, its share of the time, TTFT, and the bottleneck."""
    parts = [describe_traffic(layout, estimate, "of the time")]
    parts.append(f"batch {estimate.batch:,}")
    parts.append(f"TTFT {duration_band(estimate.ttft_s)}")
    parts.append(f"limited by {estimate.bottleneck}")
    return f" {DOT} ".join(parts)

"""The highlighted layout in a few lines: why it stands where it stands, and what it costs."""

from __future__ import annotations

from rich.text import Text
from textual.geometry import Size

from cluster.planner.layout import Layout
from cluster.planner.reasons.describe import bottleneck_in_words, traffic_in_words
from cluster.planner.result import Candidate, Estimate, RankMemory
from cluster.units import in_tenths
from tui.format import duration_band, gib
from tui.glyphs import ARROW, CROSS, DOT
from tui.styles import Look, look_of
from tui.widgets.text_panel import TextPanel


class CandidateNote(TextPanel):
    """Why, memory by part, KV room, communication; for a refused layout its rules and the way out."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._candidate: Candidate | None = None
        self._advice: tuple[str, ...] = ()
        self._not_runnable = ""
        self._room = 2

    def give_room(self, lines: int) -> None:
        """Set the lines that the note may take; what it says beyond them, the details say."""
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
        return list(self.draw(look_of(self)).wrap(self.app.console, max(1, width)))

    def show(self, candidate: Candidate | None, advice: tuple[str, ...] = (), not_runnable: str = "") -> None:
        """Show a layout.

        `advice` is what would make something fit when nothing does, `not_runnable` why the built-in engine
        cannot run this layout.
        """
        self._candidate, self._advice, self._not_runnable = candidate, advice, not_runnable
        self.changed()

    def draw(self, look: Look) -> Text:
        candidate = self._candidate
        text = Text()
        for line in self._advice:
            text.append(f"{ARROW} ", look.accent).append(f"{line}\n", look.plain)
        if self._not_runnable:
            text.append(f"{CROSS} d cannot deploy this: {self._not_runnable}\n", look.warning)
        if candidate is not None:
            note = feasible_note(candidate, look) if candidate.feasible else refused_note(candidate, look)
            text.append_text(note)
        text.rstrip()
        return text


def refused_note(candidate: Candidate, look: Look) -> Text:
    """Draw every rule that a layout breaks, and the nearest change that would hold."""
    text = Text()
    for rejection in candidate.rejections:
        if text.plain:
            text.append("\n")
        text.append(f"{CROSS} {rejection.rule.replace('_', ' ')}: ", look.bad)
        text.append(rejection.message, look.plain)
        if rejection.fix:
            text.append(f"  {ARROW} ", look.accent).append(rejection.fix, look.plain)
    if not candidate.rejections:
        text.append(candidate.why, look.plain)
    return text


def feasible_note(candidate: Candidate, look: Look) -> Text:
    """Draw why a layout stands where it stands, its memory, its KV room and its all-reduces."""
    text = Text(candidate.why, look.plain)
    if candidate.memory_per_gpu is not None:
        text.append("\n").append_text(memory_line(candidate.memory_per_gpu, look))
    room = []
    if candidate.kv_cache_tokens is not None:
        room.append(f"KV room {candidate.kv_cache_tokens:,} tokens a replica")
    if candidate.max_concurrency is not None:
        room.append(f"{in_tenths(candidate.max_concurrency)} requests of full length")
    if room:
        text.append("\n" + f" {DOT} ".join(room), look.muted)
    if candidate.estimate is not None:
        text.append("\n" + communication_line(candidate.layout, candidate.estimate), look.muted)
    for note in candidate.notes:
        text.append(f"\n{note}", look.muted)
    return text


def memory_line(memory: RankMemory, look: Look) -> Text:
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
        line.append(f" {DOT} " if position else "", look.faint)
        line.append(f"{name} ", look.muted).append(gib(size), look.plain)
    return line.append(f" of {gib(memory.budget_bytes)} GiB", look.muted)


def communication_line(layout: Layout, estimate: Estimate) -> str:
    """Say what ranks send each other, its share of the time, the first token's time and what limits."""
    parts = [traffic_in_words(layout, estimate, "of the time")]
    parts.append(f"batch {estimate.batch:,}")
    parts.append(f"first token {duration_band(estimate.ttft_s)}")
    parts.append(f"limited by {bottleneck_in_words(layout, estimate)}")
    return f" {DOT} ".join(parts)

"""All layouts considered: the best first, rejected ones with their reason. The cursor highlights one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.text import Text
from textual import events

from cluster.planner.result import Candidate, Plan
from tui.format import duration_band, fit, memory_of, rate, throughput_band
from tui.glyphs import CROSS, CURSOR, TICK
from tui.messages import CandidateHighlighted
from tui.question import candidate_key
from tui.styles import Styles
from tui.widgets.line_view import LineView

_GAP = 2
_MARKS = 4
"""Cells of the cursor and the mark before a layout."""
_MOST_LABEL_CELLS = 30


@dataclass(frozen=True, slots=True)
class ListColumns:
    """Cells of each column; 0 leaves a column out."""

    label: int
    throughput: int
    tpot: int
    memory: int
    ttft: int
    rate: int = 0
    """Cells of a rate's figure, right-aligned at the start of its column."""


def widest(plan: Plan) -> ListColumns:
    """Measure what each column holds, its heading and a gap included."""
    figures = [item.estimate for item in plan.candidates if item.feasible and item.estimate is not None]
    bands = [item.throughput_tokens_per_s for item in figures]
    cells = max((len(rate(band.value)) for band in bands), default=0)
    rates = [throughput_band(band, cells) for band in bands]
    memories = [memory_of(item) for item in plan.candidates if item.feasible]
    return ListColumns(
        label=min(_MOST_LABEL_CELLS, max((len(item.label) for item in plan.candidates), default=8)) + _GAP,
        throughput=_cells("throughput (range)", rates),
        tpot=_cells("per token (TPOT)", [duration_band(item.tpot_s) for item in figures]),
        memory=_cells("memory/GPU", memories),
        ttft=_cells("TTFT", [duration_band(item.ttft_s) for item in figures]),
        rate=cells,
    )


def _cells(heading: str, texts: Sequence[str]) -> int:
    return max(len(heading), *map(len, texts)) + _GAP if texts else 0


def list_columns(full: ListColumns, width: int) -> ListColumns:
    """Choose the columns for a width: those that fit whole, the most useful first."""
    ends = accumulate((full.throughput, full.tpot, full.memory, full.ttft), initial=full.label + _MARKS)
    # The last column needs no gap behind it.
    throughput, tpot, memory, ttft = (end - _GAP <= width for end in list(ends)[1:])
    return ListColumns(
        label=full.label,
        throughput=full.throughput * throughput,
        tpot=full.tpot * tpot,
        memory=full.memory * memory,
        ttft=full.ttft * ttft,
        rate=full.rate,
    )


def _question(plan: Plan | None) -> tuple[object, ...]:
    return () if plan is None else (plan.model.name, plan.request)


class Alternatives(LineView):
    """The list of layouts. Its first line is a heading."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._plan: Plan | None = None
        self._widest = ListColumns(0, 0, 0, 0, 0)
        self.key: str | None = None

    def show(self, plan: Plan | None) -> None:
        """Show a plan. The cursor stays on a layout that a new plan of the same question has too.

        On the best layout it follows the best: nobody has chosen another one.
        """
        before = self._keys()
        is_new_question = _question(plan) != _question(self._plan) or self.key in before[:1]
        self._plan = plan
        if plan is not None:
            self._widest = widest(plan)
        keys = self._keys()
        if is_new_question or self.key not in keys:
            self.key = keys[0] if keys else None
        self._reveal()
        self.refresh(layout=True)

    @property
    def candidate(self) -> Candidate | None:
        """The highlighted layout."""
        if self._plan is None or self.key is None:
            return None
        return next((item for item in self._plan.candidates if candidate_key(item) == self.key), None)

    @property
    def neighbors(self) -> tuple[Candidate, ...]:
        """The layouts that one key highlights next."""
        keys = self._keys()
        if self._plan is None or self.key not in keys:
            return ()
        position = keys.index(self.key)
        return tuple(self._plan.candidates[max(0, position - 1) : position + 2])

    def highlight(self, candidate: Candidate) -> None:
        """Put the cursor on a layout of the plan."""
        self._highlight(candidate_key(candidate))

    def move(self, lines: int) -> bool:
        """Move the cursor; returns whether another layout is highlighted now."""
        keys = self._keys()
        if not keys:
            return False
        position = keys.index(self.key) if self.key in keys else 0
        return self._highlight(keys[max(0, min(len(keys) - 1, position + lines))])

    def _highlight(self, key: str) -> bool:
        if key == self.key:
            return False
        self.key = key
        self._reveal()
        self.redraw()
        return True

    def _keys(self) -> list[str]:
        return [candidate_key(item) for item in self._plan.candidates] if self._plan else []

    def _reveal(self) -> None:
        keys = self._keys()
        if self.key in keys and self.size.height > 1:
            position = keys.index(self.key)
            if position < self.top:
                self.top = position
            elif position > self.top + self.size.height - 2:
                self.top = position - self.size.height + 2

    def on_resize(self) -> None:
        self.top = self.validate_top(self.top)
        self._reveal()

    def on_click(self, event: events.Click) -> None:
        keys = self._keys()
        index = self.top + event.y - 1
        if event.y > 0 and 0 <= index < len(keys) and self._highlight(keys[index]):
            self.post_message(CandidateHighlighted(keys[index]))

    def num_lines(self, width: int) -> int:
        return len(self._plan.candidates) + 1 if self._plan and self._plan.candidates else 0

    def draw_line(self, index: int, width: int, styles: Styles) -> Text:
        assert self._plan is not None
        columns = list_columns(self._widest, width)
        if index == self.top:
            return self._heading(columns, width, styles)
        candidate = self._plan.candidates[index - 1]
        here = candidate_key(candidate) == self.key
        line = Text(f"{CURSOR if here else ' '} ", styles.accent, no_wrap=True, end="")
        line.append_text(self._row(candidate, columns, width - 2, styles))
        line.truncate(width, overflow="ellipsis", pad=True)
        if here:
            line.stylize(styles.cursor)
        return line

    def _heading(self, columns: ListColumns, width: int, styles: Styles) -> Text:
        assert self._plan is not None
        line = Text(no_wrap=True, end="", style=styles.muted)
        line.append(fit("  layout", columns.label + 4))
        if not self._widest.throughput:
            line.append("reason")
        line.append(fit("throughput (range)", columns.throughput))
        line.append(fit("per token (TPOT)", columns.tpot))
        line.append(fit("memory/GPU", columns.memory))
        line.append(fit("TTFT", columns.ttft))
        hidden = self.num_lines(width) - self.size.height - self.top
        if hidden > 0:
            more = f"{hidden:,} more ↓"
            line.rstrip()
            line.truncate(max(0, width - len(more) - 1), overflow="ellipsis", pad=True)
            line.append(more)
        return line

    def _row(self, candidate: Candidate, columns: ListColumns, width: int, styles: Styles) -> Text:
        line = Text(no_wrap=True, end="")
        best = self._plan is not None and candidate is self._plan.recommended
        if not candidate.feasible:
            line.append(f"{CROSS} ", styles.bad)
            line.append(fit(candidate.label, columns.label), styles.muted)
            reason = candidate.rejections[0].message if candidate.rejections else candidate.why
            line.append(fit(reason, max(0, width - columns.label - 3)), styles.muted)
            return line
        line.append(f"{TICK} " if best else "  ", styles.good)
        line.append(fit(candidate.label, columns.label), styles.strong if best else styles.plain)
        estimate = candidate.estimate
        if estimate is not None:
            line.append(
                fit(throughput_band(estimate.throughput_tokens_per_s, columns.rate), columns.throughput),
                styles.plain,
            )
            line.append(fit(duration_band(estimate.tpot_s), columns.tpot), styles.muted)
        line.append(fit(memory_of(candidate), columns.memory), styles.muted)
        if estimate is not None:
            line.append(fit(duration_band(estimate.ttft_s), columns.ttft), styles.muted)
        return line

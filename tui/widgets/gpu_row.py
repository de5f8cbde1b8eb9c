"""One GPU on one line, with fewer columns where there is less room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.style import Style
from rich.text import Text

from tui.format import fit, percent, power, temperature
from tui.glyphs import CURSOR, FREE, PLANNED, TROUBLE, USED
from tui.scene import GpuView
from tui.styles import Styles
from tui.widgets.memory_bar import memory_bar, memory_figures, role_text

_SHORTEST_LEGEND = 16


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Cells of each column; 0 leaves a column out."""

    type: int
    bar: int
    figures: int
    role: int
    use: int
    temperature: int
    power: int
    decimals: int
    health: int = 0


def row_columns(width: int, show_type: bool, show_health: bool = False) -> RowColumns:
    """Choose the columns of a row of `width` cells."""
    figures, decimals = (18, 1) if width >= 96 else (15, 1) if width >= 72 else (10, 0)
    role = 11 if width >= 72 else 9 if width >= 34 else 0
    use = 5 if width >= 46 else 0
    heat = 6 if width >= 58 else 0
    watts = 7 if width >= 66 else 0
    figures = figures if width >= 24 else 0
    kind = 14 if show_type and width >= 90 else 0
    health = 0 if not show_health else 24 if width >= 110 else 16 if width >= 58 else 0
    rest = width - (4 + kind + figures + role + use + heat + watts + health + 3)
    return RowColumns(kind, max(0, min(rest, 72)), figures, role, use, heat, watts, decimals, health)


def gpu_row(view: GpuView, columns: RowColumns, styles: Styles, chosen: bool = False) -> Text:
    """Draw one GPU; the cursor is on the `chosen` one."""
    line = Text(no_wrap=True, end="")
    _append_number(line, view, styles, chosen)
    line.append(fit(view.gpu.type, columns.type), styles.muted)
    if view.trouble:
        line.append(f"{TROUBLE} {view.trouble}", styles.bad)
    else:
        _append_figures(line, view, columns, styles)
    if chosen:
        line.stylize(styles.cursor)
    return line


def _append_number(line: Text, view: GpuView, styles: Styles, chosen: bool) -> None:
    # The text of a GPU that cannot be used begins with its sign.
    number, sign = f"{view.gpu.index:>3}", "" if view.trouble else view.mark.sign
    sign = sign or " "
    if chosen:
        # Three digits leave the cursor only the sign's cell; the health has a column of its own too.
        number, sign = (number, CURSOR) if number[0] != " " else (CURSOR + number[1:], sign)
    line.append(number, styles.accent if chosen else styles.muted)
    line.append(sign, styles.accent if sign == CURSOR else styles.of_mark(view.mark.state))


def _append_figures(line: Text, view: GpuView, columns: RowColumns, styles: Styles) -> None:
    line.append_text(memory_bar(view, columns.bar, styles))
    figures = fit(memory_figures(view, columns.decimals), columns.figures, "right")
    line.append(figures, styles.bad if view.overfull else styles.plain)
    line.append("  ")
    role = role_text(view.role, styles)
    role.truncate(columns.role, overflow="ellipsis", pad=True)
    line.append_text(role)
    line.append(fit(percent(view.utilization_percent), columns.use, "right"), styles.plain)
    line.append(fit(temperature(view.temperature_c), columns.temperature, "right"), styles.muted)
    line.append(fit(power(view.power_w), columns.power, "right"), styles.muted)
    if columns.health and view.mark.word:
        word = f"  {view.mark.sign} {view.mark.word}"
        line.append(fit(word, columns.health), styles.of_mark(view.mark.state))


def legend(styles: Styles, width: int = 80) -> Text:
    """Draw what the parts of a memory bar mean, as much of it as fits whole."""
    parts = ((USED, "used", styles.used), (PLANNED, "planned", styles.planned), (FREE, "free", styles.free))
    for cells, gap in ((2, "  "), (1, "  "), (1, " ")):
        signs = _legend(parts, cells, gap, styles)
        if signs.cell_len <= width:
            return signs
    return _legend(parts[:2], 1, " ", styles) if width >= _SHORTEST_LEGEND else Text(no_wrap=True, end="")


def _legend(parts: Sequence[tuple[str, str, Style]], cells: int, gap: str, styles: Styles) -> Text:
    signs = Text(no_wrap=True, end="")
    for number, (sign, name, style) in enumerate(parts):
        signs.append(gap if number else "").append(sign * cells, style).append(f" {name}", styles.muted)
    return signs


def row_heading(columns: RowColumns, styles: Styles) -> Text:
    """Draw the legend and the names of the columns."""
    line = Text("    ", no_wrap=True, end="")
    line.append(fit("", columns.type))
    signs = legend(styles, columns.bar)
    signs.truncate(columns.bar, pad=True)
    line.append_text(signs)
    line.append(fit("GiB", columns.figures, "right"), styles.muted)
    line.append("  ")
    line.append(fit("role", columns.role), styles.muted)
    line.append(fit("util", columns.use, "right"), styles.muted)
    line.append(fit("temp", columns.temperature, "right"), styles.muted)
    line.append(fit("power", columns.power, "right"), styles.muted)
    line.append(fit("  health", columns.health), styles.muted)
    return line

"""One GPU as a tile of a few lines, for large terminals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from tui.format import fit, percent, power, temperature
from tui.glyphs import CURSOR, SPARK, TROUBLE
from tui.scene import GpuView
from tui.styles import Styles
from tui.widgets.map_grid import LARGE_TILE_LINES, TILE_GAP, Grid
from tui.widgets.memory_bar import memory_bar, memory_figures, role_text

_SMALL = ("", "name", "bar", "figures", "readings", "")
_LARGE = ("", "name", "", "bar", "figures", "", "history 1", "history 0", "readings", "")


def sparkline(values: tuple[float, ...], width: int, level: int = 0, levels: int = 1) -> str:
    """Draw percentages over time, the newest at the right; `level` of `levels` lines, 0 is the lowest."""
    steps = len(SPARK) - 1
    marks = []
    for value in values[-width:] if width > 0 else ():
        height = round(max(0.0, min(100.0, value)) / 100 * steps * levels) - level * steps
        marks.append(SPARK[max(1 if level == 0 else 0, min(steps, height))])
    return " " * (width - len(marks)) + "".join(marks)


def tiles_line(
    views: Sequence[GpuView],
    row: int,
    grid: Grid,
    history: Callable[[str], tuple[float, ...]],
    styles: Styles,
    chosen: int | None = None,
) -> Text:
    """Draw one line of the tiles that stand side by side; the cursor is on the `chosen` one."""
    text = Text(" ", no_wrap=True, end="")
    if row == grid.row_lines - 1:
        return text
    for number, view in enumerate(views):
        width, values = grid.cell - TILE_GAP, history(view.gpu.uuid)
        text.append_text(tile_line(view, row, grid.row_lines - 1, width, values, styles, number == chosen))
        text.append(" " * TILE_GAP)
    return text


def tile_line(
    view: GpuView,
    row: int,
    lines: int,
    width: int,
    history: tuple[float, ...],
    styles: Styles,
    chosen: bool = False,
) -> Text:
    """Draw one of a tile's lines, exactly `width` cells."""
    inner = width - 2
    part = (_LARGE if lines == LARGE_TILE_LINES else _SMALL)[row]
    body = _body(view, part, inner, history, styles, lines == LARGE_TILE_LINES)
    # An error continues on the next line.
    body.truncate(inner, overflow="crop" if part == "bar" else "ellipsis", pad=True)
    line = Text(no_wrap=True, end="").append(CURSOR if chosen and part == "name" else " ", styles.accent)
    line.append_text(body).append(" ")
    line.stylize(Style(bgcolor=styles.palette.raised if chosen else styles.palette.panel))
    return line


def _body(
    view: GpuView, part: str, width: int, history: tuple[float, ...], styles: Styles, large: bool
) -> Text:
    if part == "name":
        name = Text(f"GPU {view.gpu.index}", styles.strong)
        if view.mark.word:
            name.append(f" {view.mark.sign} {view.mark.word}", styles.of_mark(view.mark.state))
        return _split(name, role_text(view.role, styles), width)
    if view.trouble and part in ("bar", "figures"):
        words = f"{TROUBLE} {view.trouble}"
        return Text(words if part == "bar" else words[width:], styles.bad, end="")
    if part == "bar":
        return memory_bar(view, width, styles)
    if part == "figures":
        figures = Text(memory_figures(view), styles.bad if view.overfull else styles.plain)
        return _split(figures, Text("GiB", styles.muted), width)
    if part.startswith("history"):
        return Text(sparkline(history, width, int(part[-1]), 2), styles.used, end="")
    if part == "readings":
        return _readings(view, width, () if large else history, styles)
    return Text("", end="")


def _readings(view: GpuView, width: int, history: tuple[float, ...], styles: Styles) -> Text:
    left = Text(f"{temperature(view.temperature_c)}  {power(view.power_w)}", styles.muted)
    room = max(0, min(12, width - cell_len(left.plain) - 7))
    right = Text(sparkline(history, room) if history else "", styles.used)
    right.append(fit(percent(view.utilization_percent), 5, "right"), styles.plain)
    return _split(left, right, width)


def _split(left: Text, right: Text, width: int) -> Text:
    """Put two texts at the ends of a line; the left one is cut if needed."""
    room = width - cell_len(right.plain)
    line = Text(no_wrap=True, end="")
    left.truncate(max(0, room - 1), overflow="ellipsis", pad=True)
    line.append_text(left).append(" " if room > 0 else "").append_text(right)
    return line
